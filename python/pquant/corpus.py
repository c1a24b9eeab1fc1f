# Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Collects English text from Debian packages of documentation and dictionaries, to train small models on.

    python -m pquant.corpus DIRECTORY

needs Debian's `apt-get` and `dpkg`, downloads the packages (about 100 MB) without installing them, and writes
`<package>.txt` for each, with the file that states its licence beside it. Paragraphs are joined to lines; markup, tables
and listings are left out as far as that is easy.
"""

import argparse
import gzip
import html.parser
import os
import re
import subprocess
import tempfile

# Package, the files in it that hold prose, the kind of markup. All are under free licences (Debian main).
SOURCES = (
    ("dict-gcide", r"dictd/gcide\.dict\.dz$", "dictd"),  # Webster's of 1913 and later additions, GPL
    ("dict-wn", r"dictd/wn\.dict\.dz$", "dictd"),  # WordNet 3.0, its own permissive licence
    ("dict-devil", r"dictd/devil\.dict\.dz$", "dictd"),  # Bierce, public domain
    ("dict-jargon", r"dictd/jargon\.dict\.dz$", "dictd"),  # public domain
    ("dict-foldoc", r"dictd/foldoc\.dict\.dz$", "dictd"),  # GFDL without invariant sections
    ("linux-doc-6.1", r"Documentation/(?!devicetree|translations).*\.rst\.gz$", "rst"),  # GPL-2
    ("python3.11-doc", r"_sources/.*\.rst\.txt$", "rst"),  # PSF
    ("developers-reference", r"_sources/.*\.rst\.txt$", "rst"),  # GPL-2+
    ("postgresql-doc-15", r"/html/.*\.html$", "html"),  # PostgreSQL
    ("python-django-doc", r"/html/(?!_modules|genindex).*\.html$", "html"),  # BSD
    ("apache2-doc", r"manual/en/.*\.html$", "html"),  # Apache-2.0
    ("debian-reference-en", r"\.en\.html$", "html"),  # GPL-2+
    ("perl-doc", r"\.pod$", "pod"),  # GPL-1+ or Artistic
    ("git-doc", r"git-doc/git.*\.txt$", "rst"),  # GPL-2
)

SKIPPED_ELEMENTS = {"head", "script", "style", "pre", "table", "nav", "footer"}
BLOCK_ELEMENTS = {"p", "div", "li", "dt", "dd", "br", "h1", "h2", "h3", "h4", "tr", "section", "blockquote"}


class ProseParser(html.parser.HTMLParser):
    """The text of the block elements, blank lines between them."""

    def __init__(self):
        super().__init__()
        self.parts, self.skipped = [], 0

    def handle_starttag(self, tag, attrs):
        self.skipped += tag in SKIPPED_ELEMENTS
        if tag in BLOCK_ELEMENTS:
            self.parts.append("\n\n")

    def handle_endtag(self, tag):
        self.skipped -= tag in SKIPPED_ELEMENTS and self.skipped > 0
        if tag in BLOCK_ELEMENTS:
            self.parts.append("\n\n")

    def handle_data(self, data):
        if not self.skipped:
            self.parts.append(data)


def strip_html(text: str) -> str:
    parser = ProseParser()
    parser.feed(text)
    return "".join(parser.parts)


def strip_rst(text: str) -> str:
    """Without directives, underlines, comments and inline roles."""
    text = re.sub(r"^\.\. .*$|^\s*:\w[^:\n]*:.*$", "", text, flags=re.M)
    text = re.sub(r"^([=\-~^\"'`#*+.:_])\1{2,}\s*$", "", text, flags=re.M)
    text = re.sub(r":[\w:+-]+:`~?!?([^`<]*?)\s*(?:<[^`]*>)?`", r"\1", text)
    return re.sub(r"``?|\*\*?(?=\w)|(?<=\w)\*\*?", "", text)


def strip_pod(text: str) -> str:
    """Without commands and with the text of formatting codes only."""
    text = re.sub(r"^=\w+ ?", "", text, flags=re.M)
    for _ in range(2):
        text = re.sub(r"[A-Z]<+ ?(?:[^<>|]*\|)?([^<>]*?) ?>+", r"\1", text)
    return text


def strip_dictd(text: str) -> str:
    """An entry begins at the margin; braces mark references, backslashes the pronunciation."""
    return re.sub(r"[{}\\]", "", re.sub(r"\n(?=\S)", "\n\n", text))


STRIP = {"dictd": strip_dictd, "html": strip_html, "rst": strip_rst, "pod": strip_pod}


def join_paragraphs(text: str) -> str:
    """One line for each paragraph that reads like prose: five words or more, nearly all characters letters."""
    lines = []
    for paragraph in re.split(r"\n\s*\n", text):
        line = " ".join(paragraph.split())
        letters = sum(character.isalpha() or character in " ,.;:'\"()-" for character in line)
        if len(line.split()) >= 5 and letters > 0.93 * len(line):
            lines.append(line)
    return "\n".join(lines)


def read_document(path: str) -> str:
    opener = gzip.open if path.endswith((".gz", ".dz")) else open
    with opener(path, "rb") as file:
        return file.read().decode("utf-8", errors="replace")


def collect(package: str, pattern: str, kind: str, directory: str) -> int:
    """Writes the text of one package; returns the number of its characters."""
    with tempfile.TemporaryDirectory() as work:
        subprocess.run(["apt-get", "download", "-qq", package], cwd=work, check=True)
        archive = next(name for name in os.listdir(work) if name.endswith(".deb"))
        root = os.path.join(work, "root")
        subprocess.run(["dpkg", "-x", os.path.join(work, archive), root], check=True)
        paths = (os.path.join(folder, name) for folder, _, names in os.walk(root) for name in names)
        chosen = sorted(path for path in paths if re.search(pattern, path) and not os.path.islink(path))
        seen, size = set(), 0
        with open(os.path.join(directory, package + ".txt"), "w", encoding="utf-8") as output:
            for path in chosen:
                for line in join_paragraphs(STRIP[kind](read_document(path))).splitlines():
                    if line not in seen:
                        seen.add(line)
                        size += output.write(line + "\n")
        licence = read_document(os.path.join(root, "usr/share/doc", package, "copyright"))
        with open(os.path.join(directory, package + ".copyright"), "w", encoding="utf-8") as output:
            output.write(licence)
        return size


def main() -> None:
    parser = argparse.ArgumentParser(description="Collect English text from Debian packages.")
    parser.add_argument("directory", help="where the text files go")
    arguments = parser.parse_args()
    os.makedirs(arguments.directory, exist_ok=True)
    total = 0
    for package, pattern, kind in SOURCES:
        size = collect(package, pattern, kind, arguments.directory)
        total += size
        print(f"{package}: {size / 1e6:.1f} M characters")
    print(f"total: {total / 1e6:.1f} M characters")


if __name__ == "__main__":
    main()
