# Copyright: (c) 2026, Sergas DevOps
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find words in the tree that its readers would not use: `plain_words.py [PATH...]`.

Names, strings, docstrings, comments and documentation are searched for the expressions of
`words.txt`, which also says what to use and what is allowed. Task names have to say what is done
to what, and docstrings and comments are ordinary markdown. Each finding is a line
`path:line: word (use: ...)`; the exit status is 1 if there is one.
"""

from __future__ import annotations

import ast
import fnmatch
import functools
import io
import re
import sys
import tokenize
from pathlib import Path
from typing import NamedTuple

WORDS = Path(__file__).with_name("words.txt")
#: Between the words of an expression: a line break, also one within a comment.
_SPACE = r"\s+(?:#:?\s*)?"
#: Up to three words, of one sentence, that ``...`` in an expression stands for.
_BETWEEN = r"[\w%%/-]+(?:%s[\w%%/-]+){0,2}" % _SPACE
_YAML = (".yml", ".yaml")
_PARTICLE = r"(?: (?:again|anew|at|back|down|first|for|in|off|on|out|to|up|with))?"
_VERB_PRONOUN = r"\w+%s (?:it|them|this|that|these|those)%s" % (_PARTICLE, _PARTICLE)
#: The only object of such a task name is a pronoun.
_VAGUE = re.compile(r"%s(?: and %s)*(?:,.*)?" % (_VERB_PRONOUN, _VERB_PRONOUN), re.I)
#: A key, and the names that a task gives or includes.
_YAML_NAME = re.compile(
    r"^\s*(?:- )?(\w+)(?=:(?:\s|$))|\b(?:tasks_from|register|loop_var): *(\w+)|(?=[{,] *(\w+): )."
)
#: An expression of Jinja, and a string in one.
_CODE = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.S)
_STRING = re.compile(r"('[^']*'|\"[^\"]*\")")
#: A variable of this collection in an expression of Jinja; what follows a dot is a key of others.
_VARIABLE = re.compile(r"(?<![.\w])(?:__|sergas_)\w+")
#: Also in flow style, and the first line of a folded name.
_TASK = re.compile(
    r"^\s*(?:- )?(\{)?name: *(?:[>|][-+]?\s+)?([\"']?)(?=\S)(.+?)\2 *(?(1)[,}]|$)", re.M
)
_MARKUP = re.compile(r"\b(?:RV|[BCEILMOPV])\((?=\S)")
_MARKUP_USE = "double backticks"
_VAGUE_USE = "a name that says what is done to what"


class Rules(NamedTuple):
    """What `words.txt` says."""

    #: {expression in lower case: what to use}, for every text and name
    words: dict
    #: the same for names alone
    names: dict
    #: [(glob of whole task names in lower case, what to use)]
    tasks: list
    #: [(phrase, glob of the paths where it is allowed)]
    phrases: list
    #: globs of the paths that are not searched
    files: list


class Found(NamedTuple):
    """A word that is not allowed."""

    path: str
    line: int
    word: str
    use: str

    def __str__(self):
        return "%s:%d: %s (use: %s)" % self


def read_rules(text):
    """Return the `Rules` of a text in the form of `words.txt`."""
    rules = Rules({}, {}, [], [], [])
    section = None
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        if line.startswith("["):
            section = line.strip("[]")
            continue
        left, found, right = line.partition(" = ")
        if not found or section not in Rules._fields:
            raise ValueError("words.txt:%d: neither a section nor `what = use or reason`" % number)
        if section == "files":
            rules.files.append(left)
        elif section == "phrases":
            phrases, _at, glob = left.partition(" @ ")
            rules.phrases.extend((_spaced(one), glob or "*") for one in phrases.split(", "))
        elif section == "tasks":
            rules.tasks.append((left.lower(), right))
        else:
            for word in left.split(", "):
                getattr(rules, section)[_spaced(word).lower()] = right
    return rules


def _spaced(text):
    """Return a text with a space for each underscore, as long as it was."""
    return text.replace("_", " ")


@functools.cache
def _compiled(expressions):
    """Return the expression that matches any of several, the longest first."""
    longest = sorted(expressions, key=lambda one: (-len(one), one))
    either = "|".join(
        _SPACE.join(_BETWEEN if word == "..." else re.escape(word) for word in one.split())
        for one in longest
    )
    either = either or "(?!)"
    return re.compile(r"(?<!\w)(?:%s)(?!\w)" % either, re.I)


def _pattern(expressions):
    return _compiled(frozenset(expressions))


class Checker:
    """Finds words in the files of a tree."""

    def __init__(self, rules):
        self._rules = rules
        self._in_text = _pattern(rules.words)
        self._uses = {**rules.words, **rules.names}
        self._in_names = _pattern(self._uses)

    def check(self, path, text):
        """Return what is found in a file, in order and each word once a line.

        Args:
            path: its path in the tree.
            text: its content.
        """
        if any(fnmatch.fnmatch(path, glob) for glob in self._rules.files):
            return []
        allowed = _pattern(
            phrase for phrase, glob in self._rules.phrases if fnmatch.fnmatch(path, glob)
        )
        parts = list(_of_python(text)) if path.endswith(".py") else [_of_text(path, text)]
        parts.append(_Part(names=[(1, name) for name in Path(path).parts]))
        found = {Found(path, *one) for part in parts for one in self._of(part, allowed)}
        return sorted(found, key=lambda one: (one.line, one.word))

    def _of(self, part, allowed):
        """Yield (line, word, use) for each finding in a `_Part`."""
        for line, name in part.names:
            spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", _spaced(name))
            for _start, word, use in self._found(self._in_names, spaced, allowed):
                yield line, word, use
        for start, word, use in self._found(self._in_text, _spaced(part.text), allowed):
            yield part.line_of(start, word), word, use
        if part.is_markdown:
            for match in _MARKUP.finditer(part.text):
                yield part.line_of(match.start(), match.group()), match.group(), _MARKUP_USE
        for match in _TASK.finditer(part.text) if part.has_tasks else ():
            name = match.group(3)
            uses = [use for glob, use in self._rules.tasks if fnmatch.fnmatch(name.lower(), glob)]
            if uses or _VAGUE.fullmatch(name):
                yield part.line_of(match.start(3), name), name, (uses or [_VAGUE_USE])[0]

    def _found(self, pattern, text, allowed):
        """Yield (position, word, use) of what a pattern finds outside of allowed phrases."""
        text = allowed.sub(lambda match: re.sub(r"\S", ".", match.group()), text)
        for match in pattern.finditer(text):
            word = " ".join(re.sub("#:?", " ", match.group()).split())
            words = word.lower().split()
            use = self._uses.get(" ".join(words))
            yield match.start(), word, use or self._uses["%s ... %s" % (words[0], words[-1])]


class _Part:
    """A text or names in a file.

    Attributes:
        text: what is searched.
        names: [(line, name)].
        is_markdown: whether no Ansible tool renders it.
        has_tasks: whether it is YAML that may hold tasks.
    """

    def __init__(self, text="", line=1, names=(), source=None, is_markdown=False, has_tasks=False):
        self.text = text
        self.names = names
        self.is_markdown = is_markdown
        self.has_tasks = has_tasks
        self._line = line
        #: the lines of a literal whose value has fewer of them than its source
        self._source = source

    def line_of(self, position, word):
        """Return the line of a word that begins at a position of the text."""
        if self._source is None:
            return self._line + self.text.count("\n", 0, position)
        first = word.split()[0]
        for offset, line in enumerate(self._source):
            if first in _spaced(line):
                return self._line + offset
        return self._line


def _of_text(path, text):
    """Return the `_Part` that a file other than Python is."""
    is_yaml = path.endswith(_YAML)
    names = []
    if is_yaml or path.endswith(".j2"):
        for code in _CODE.finditer(text):
            for match in _VARIABLE.finditer(_without_strings(code.group())):
                start = code.start() + match.start()
                names.append((1 + text.count("\n", 0, start), match.group()))
        text = _CODE.sub(_without_code, text)
    names += [
        (number, match[match.lastindex])
        for number, line in enumerate(text.splitlines() if is_yaml else (), 1)
        for match in _YAML_NAME.finditer(line)
    ]
    return _Part(text, names=names, has_tasks=is_yaml)


def _without_code(match):
    """Return an expression of Jinja with its strings alone, as long as it was."""
    parts = _STRING.split(match.group())
    return "".join(
        part if number % 2 else re.sub(r"\S", " ", part) for number, part in enumerate(parts)
    )


def _without_strings(code):
    """Return an expression of Jinja without its strings, as long as it was."""
    return _STRING.sub(lambda match: re.sub(r"\S", " ", match.group()), code)


def _of_python(text):
    """Yield the `_Part`s of a Python file: its names, its comments, its strings."""
    nodes = list(ast.walk(ast.parse(text)))
    yield _Part(names=sorted(set(_names(nodes))))
    yield from _comments(text)
    lines = text.splitlines()
    docstrings = {
        id(node.body[0].value)
        for node in nodes
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
        and ast.get_docstring(node, clean=False) is not None
    }
    examples = {
        id(node.value)
        for node in nodes
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "EXAMPLES"
    }
    for node in nodes:
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
            continue
        source = lines[node.lineno - 1 : node.end_lineno]
        same = node.value.count("\n") == len(source) - 1
        yield _Part(
            node.value,
            node.lineno,
            source=None if same else source,
            is_markdown=id(node) in docstrings,
            has_tasks=id(node) in examples,
        )


def _names(nodes):
    """Yield (line, name) of what a Python file gives a name to."""
    for node in nodes:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node.lineno, node.name
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.keyword) and node.arg:
            # A keyword is a name of the function's, or a key of a dictionary.
            yield node.value.lineno, node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.attr
        elif isinstance(node, ast.alias) and node.asname:
            yield node.lineno, node.asname


def _comments(text):
    """Yield a `_Part` for each block of comments, so that an expression may go over lines."""
    block, last = [], None
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type != tokenize.COMMENT:
            continue
        if block and token.start[0] != last + 1:
            yield _Part("\n".join(block), last - len(block) + 1, is_markdown=True)
            block = []
        block.append(token.string)
        last = token.start[0]
    if block:
        yield _Part("\n".join(block), last - len(block) + 1, is_markdown=True)


#: What tools leave in a checkout.
_HIDDEN = re.compile(r"/\.(?!github)|/__pycache__|/sergas-reports/|/tests/output/")


def main(arguments):
    """Check the files that are given, or all below the current directory, and return the exit
    status. A checkout is checked in a copy of what git tracks: see lint.sh.
    """
    checker = Checker(read_rules(WORDS.read_text(encoding="utf-8")))
    paths = arguments or [
        str(path.relative_to("."))
        for path in Path().rglob("*")
        if not _HIDDEN.search("/" + str(path))
    ]
    status = 0
    for path in sorted(paths):
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):  # a deleted file, a link to a directory, or no text
            continue
        for found in checker.check(path, text):
            print(found)
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
