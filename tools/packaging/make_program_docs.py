#!/usr/bin/env python3
"""Writes a program's man page (gzipped) and bash completion from what its --help says.

  make_program_docs.py --program build/bin/ddnn-device --version 0.1.0 --man build/man/ddnn-device.1.gz \\
      --completion build/completions/ddnn-device
"""

import argparse
import datetime
import gzip
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from bash_completion import completion  # noqa: E402
from man_page import man_page  # noqa: E402
from program_help import read_help  # noqa: E402


def page_date(program):
    """SOURCE_DATE_EPOCH, else the day of the last commit, else the day the program was built."""
    epoch = os.environ.get('SOURCE_DATE_EPOCH')
    if epoch is None:
        here = os.path.dirname(os.path.abspath(__file__))
        git = subprocess.run(['git', '-C', here, 'log', '-1', '--format=%ct'],
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                             universal_newlines=True)
        epoch = git.stdout.strip() if git.returncode == 0 else os.path.getmtime(program)
    day = datetime.datetime.fromtimestamp(int(float(epoch)), datetime.timezone.utc)
    return day.strftime('%Y-%m-%d')


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--program', required=True)
    parser.add_argument('--emulator', default='', help='runs the program, where it is for another machine')
    parser.add_argument('--version', required=True)
    parser.add_argument('--others', default='', help='programs to see also, with commas')
    parser.add_argument('--man', required=True)
    parser.add_argument('--completion', required=True)
    args = parser.parse_args()

    name = os.path.basename(args.program)
    emulator = [part for part in args.emulator.split(';') if part]
    helped = read_help(args.program, name, emulator=emulator)
    commands = [(command, read_help(args.program, name, [command], emulator, helped.shows_values))
                for command in helped.commands()]
    page = man_page(helped, commands, args.version, page_date(args.program),
                    args.others.split(','))
    with open(args.man, 'wb') as out:
        # No name and no time in it: the same help gives the same bytes.
        out.write(gzip.compress(page.encode(), 9, mtime=0))
    with open(args.completion, 'w') as out:
        out.write(completion(helped, commands))


if __name__ == '__main__':
    main()
