"""For mdBook: a link from a page to what lies outside of docs/ leads to the repository, wherever that is published.

STRATUM_SOURCE says where that is, such as https://github.com/OWNER/stratum/blob/main. Without it nobody knows, and such a link is
told as the path that it has there. A folder's README.md is its index.html in the book, which links to it don't know by themselves.
"""

import json
import os
import re
import sys

OUTSIDE = re.compile(r"\[([^]]*)\]\(((?:\.\./)+)([^)#]*)(#[^)]*)?\)")
INDEX = re.compile(r"\]\((?!\w+://)([^)#]*/)?README\.md")


def lead(link, depth, source):
    words, up, path, heading = link[1], link[2], link[3], link[4] or ""
    if up != "../" * (depth + 1):
        return link[0]
    if source:
        return f"[{words}]({source}/{path}{heading})"
    # Words that are the end of the path, such as `must-pass.txt`, are said by it.
    return f"`{path}`" if path.endswith(words.strip("`/")) else f"{words}, `{path}`"


def rewrite(items, source):
    for item in items:
        chapter = item.get("Chapter") if isinstance(item, dict) else None
        if not chapter:
            continue
        depth = (chapter.get("path") or "").count("/")
        chapter["content"] = OUTSIDE.sub(lambda link: lead(link, depth, source), chapter["content"])
        chapter["content"] = INDEX.sub(lambda link: f"]({link[1] or ''}index.md", chapter["content"])
        rewrite(chapter["sub_items"], source)


if sys.argv[1:2] == ["supports"]:
    sys.exit(0)
_, book = json.load(sys.stdin)
rewrite(book.get("items", book.get("sections", [])), os.environ.get("STRATUM_SOURCE", "").rstrip("/"))
json.dump(book, sys.stdout)
