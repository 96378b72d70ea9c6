"""A man page (groff's man macros) from a program's --help."""

import re

DAEMONS = {'ddnn-device': 'device', 'ddnn-edge': 'edge', 'ddnn-cloud': 'cloud'}

# What no --help says, since it holds for all three.
DAEMON_SECTIONS = r'''.SH FILES
.TP
.I /etc/ddnn/{role}.textproto
the configuration that the service reads: each field is a flag without its dashes
.TP
.I /var/lib/ddnn
the service's own folder, of the user ddnn
.SH ENVIRONMENT
.TP
.B NOTIFY_SOCKET
set by systemd (Type=notify): where the daemon says that it serves, how it is, and that it stops
.TP
.BR WATCHDOG_USEC ", " WATCHDOG_PID
set by systemd (WatchdogSec=): how long the daemon may be silent. It speaks for as long as its engine
and its events go on.
.SH NOTES
The service is
.BR ddnn-{role}.service ;
it is not started until it is enabled:
.PP
.EX
systemctl enable --now ddnn-{role}
.EE
'''


def escape(text):
    """Text as groff takes it literally: no escapes, no hyphens for minus signs, no requests."""
    text = text.replace('\\', r'\e').replace('-', r'\-').replace('^', r'\(ha').replace('~', r'\(ti')
    return '\n'.join(r'\&' + line if line[:1] in ".'" else line for line in text.split('\n'))


def bold_flags(text):
    return re.sub(r'((?:^|(?<=[\s(\[]))\\-\\-[a-z_]+)', r'\\fB\1\\fR', text)


def paragraph(text):
    return bold_flags(escape(text))


def code(lines):
    # Blank lines within an example would end the paragraph before them.
    return '.PP\n.RS 4\n.EX\n' + '\n'.join(escape(l) for l in lines) + '\n.EE\n.RE\n'


def blocks(content, heading_macro):
    """The body of one help; paragraphs before the first heading belong to the section above."""
    out = []
    for kind, value in content:
        if kind == 'heading':
            title = value.upper() if heading_macro == '.SH' else value.capitalize()
            out.append('%s "%s"\n' % (heading_macro, escape(title)))
        elif kind == 'text':
            out.append('.PP\n' + paragraph(value) + '\n')
        elif kind == 'code':
            out.append(code(value))
        else:
            for term, text in value:
                out.append('.TP\n.B %s\n%s\n' % (escape(term), paragraph(text) if text else r'\&'))
    text = ''.join(out)
    # A paragraph directly under a heading or at the start needs no request of its own.
    return re.sub(r'(^|\.S[HS] [^\n]*\n)\.PP\n', r'\1', text)


def with_options_heading(content):
    """A list of flags without a heading above it gets one."""
    out, headed = [], False
    for kind, value in content:
        headed = headed or kind == 'heading'
        if kind == 'list' and not headed:
            out.append(('heading', 'options'))
            headed = True
        out.append((kind, value))
    return out


def names_of(content):
    """"flags" as man pages call them."""
    return [(kind, 'options' if kind == 'heading' and value == 'flags' else value)
            for kind, value in content]


def synopsis(lines):
    return '.br\n'.join('.B %s\n' % escape(line) for line in lines)


def man_page(helped, commands, version, date, others):
    """The whole page.

    helped: the program's Help; commands: pairs (name, Help); date: YYYY-MM-DD; others: names of
    the programs it comes with.
    """
    program = helped.program
    out = ['.TH %s 1 "%s" "ddnn %s" "ddnn"\n' % (program.upper(), date, version)]
    out.append('.SH NAME\n%s \\- %s\n' % (escape(program), escape(helped.summary())))
    out.append('.SH SYNOPSIS\n' +
               synopsis(helped.synopsis or ['%s [--flag=value]...' % program]))
    out.append('.SH DESCRIPTION\n')
    out.append(blocks(with_options_heading(names_of(helped.blocks)), '.SH'))
    for name, text in commands:
        out.append('.SH "%s"\n' % escape(('%s %s' % (program, name)).upper()))
        out.append('.PP\n'.join([synopsis(text.synopsis)]))
        out.append('.PP\n' + blocks(text.blocks, '.SS'))
    if program in DAEMONS:
        out.append(DAEMON_SECTIONS.format(role=DAEMONS[program]).replace('-', r'\-')
                   .replace(r'\\-', r'\-'))
    see = ['.BR %s (1)' % escape(other) for other in others if other != program]
    out.append('.SH "SEE ALSO"\n' + ',\n'.join(see).replace(',\n', ' ,\n') + '\n')
    return ''.join(out)
