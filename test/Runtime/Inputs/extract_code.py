"""Prints a code block of language argv[2] in the Markdown file argv[1]: the first, or number argv[3]."""

import re
import sys

with open(sys.argv[1]) as page:
    blocks = re.findall(r"^```%s\n(.*?)^```" % sys.argv[2], page.read(), re.S | re.M)
print(blocks[int(sys.argv[3]) - 1 if len(sys.argv) > 3 else 0], end="")
