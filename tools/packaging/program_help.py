"""What a program's --help says, taken apart: man pages and bash completions are made from it.

The texts are written for people. What is looked for in them:
  usage: ...              how the program is called
  a line by itself        that ends with ":" or stands right above indented lines: a heading
  "  --flag  text"        a flag; so are "  --[no]flag" (yes or no) and "  --flag=VALUE"
  "  name  text"          under the heading "commands": a command with a --help of its own
  other indented lines    an example, kept as it is
"""

import re
import subprocess

FLAG = re.compile(r'--(\[no\])?([a-z][a-z0-9_]*)(=\S+)?')


class Help:
    """One --help: its name line, synopsis, and blocks (kind, content) in order.

    Kinds: "text" a paragraph; "heading" a line; "code" lines; "list" pairs of term and text.
    """

    def __init__(self, program, text, shows_values=None):
        """shows_values: a flag without "=VALUE" takes none; by default, if any flag shows one."""
        self.program = program
        self.synopsis = []
        self.blocks = []
        self._parse(text)
        terms = [term for kind, content in self.blocks if kind == 'list' for term, _ in content]
        self.shows_values = (any(FLAG.match(term) and '=' in term for term in terms)
                             if shows_values is None else shows_values)

    def flags(self):
        """Pairs (name, kind): kind is "switch" (--name, --noname), "set" (--name) or "value"."""
        found = []
        for kind, content in self.blocks:
            if kind != 'list':
                continue
            for term, _ in content:
                for switch, name, value in FLAG.findall(term):
                    takes = value or not self.shows_values
                    found.append((name, 'switch' if switch else 'value' if takes else 'set'))
        return found

    def commands(self):
        """Names under the heading "commands"."""
        names, heading = [], ''
        for kind, content in self.blocks:
            if kind == 'heading':
                heading = content
            elif kind == 'list' and heading.startswith('commands'):
                names += [term.split()[0] for term, _ in content]
        return names

    def summary(self):
        """What the program does, in the few words of a man page's first line."""
        text = next((content for kind, content in self.blocks if kind == 'text'), '')
        text = re.sub(r'^' + re.escape(self.program) + r':? ', '', text)
        text = re.split(r'[,:.](?:\s|$)', text)[0]
        return text[:1].lower() + text[1:]

    def _parse(self, text):
        heading = ''
        for block in re.split(r'\n\s*\n', text.strip('\n')):
            lines = block.split('\n')
            while lines:
                line = lines[0]
                if line.startswith('usage: '):
                    self.synopsis.append(line[len('usage: '):])
                    lines.pop(0)
                    while lines and lines[0].startswith('       '):
                        self.synopsis.append(lines.pop(0).strip())
                elif not line.startswith(' ') and (
                        len(lines) > 1 and lines[1].startswith('  ') or line.endswith(':')):
                    heading = re.sub(r' \(defaults in parentheses\)', '', line.rstrip(':')).lower()
                    self.blocks.append(('heading', heading))
                    lines.pop(0)
                elif line.startswith('  '):
                    lines = self._indented(heading, lines)
                else:
                    n = next((i for i, l in enumerate(lines) if l.startswith('  ')), len(lines))
                    self.blocks.append(('text', ' '.join(l.strip() for l in lines[:n])))
                    lines = lines[n:]

    def _indented(self, heading, lines):
        n = next((i for i, l in enumerate(lines) if not l.startswith('  ')), len(lines))
        block, rest = lines[:n], lines[n:]
        if not block[0].startswith('  --') and not heading.startswith('commands'):
            self.blocks.append(('code', [l[2:] for l in block]))
            return rest
        pairs = []
        for line in block:
            match = re.match(r'  (\S.*?)(?:  +(.*))?$', line)
            if match and not line.startswith('   '):
                pairs.append((match.group(1), match.group(2) or ''))
            else:
                pairs[-1] = (pairs[-1][0], (pairs[-1][1] + ' ' + line.strip()).strip())
        self.blocks.append(('list', pairs))
        return rest


def read_help(path, program, command=(), emulator=(), shows_values=None):
    """Runs `path command... --help`, through an emulator if need be."""
    argv = list(emulator) + [path] + list(command) + ['--help']
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          universal_newlines=True)
    if done.returncode != 0 or not done.stdout:
        raise SystemExit('%s: ended with %d, expected 0 and a text on stdout: %s' %
                         (' '.join(argv), done.returncode, done.stderr.strip()))
    return Help(program, done.stdout, shows_values)
