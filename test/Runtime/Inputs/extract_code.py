"""Prints the first code block of language argv[2] in the Markdown file argv[1]."""

import re
import sys

with open(sys.argv[1]) as page:
    print(re.search(r"^```%s\n(.*?)^```" % sys.argv[2], page.read(), re.S | re.M).group(1), end="")
