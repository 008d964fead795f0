"""For mdBook: a link from a page to what lies outside of docs/ leads to the repository, wherever that is published.

STRATUM_SOURCE says where that is. A folder's README.md is its index.html in the book, which links to it don't know by
themselves.
"""

import json
import os
import re
import sys

PUBLISHED = "https://stratum.example.com/source"
OUTSIDE = re.compile(r"\]\((?:\.\./)+([^)]*)\)")
INDEX = re.compile(r"\]\((?!\w+://)([^)#]*/)?README\.md")


def rewrite(items, source):
    for item in items:
        chapter = item.get("Chapter") if isinstance(item, dict) else None
        if not chapter:
            continue
        depth = (chapter.get("path") or "").count("/")
        up = "../" * (depth + 1)
        lead = lambda link: f"]({source}/{link[1]})" if link[0][2:].startswith(up) else link[0]
        chapter["content"] = OUTSIDE.sub(lead, chapter["content"])
        chapter["content"] = INDEX.sub(lambda link: f"]({link[1] or ''}index.md", chapter["content"])
        rewrite(chapter["sub_items"], source)


if sys.argv[1:2] == ["supports"]:
    sys.exit(0)
_, book = json.load(sys.stdin)
rewrite(book.get("items", book.get("sections", [])), os.environ.get("STRATUM_SOURCE", PUBLISHED))
json.dump(book, sys.stdout)
