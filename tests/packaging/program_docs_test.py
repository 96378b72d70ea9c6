"""What man pages and completions make of a program's --help."""

import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.environ['DDNN_SOURCE_DIR'], 'tools', 'packaging'))
import bash_completion  # noqa: E402
from man_page import man_page  # noqa: E402
from program_help import Help, read_help  # noqa: E402

DAEMON = r'''ddnn-x runs the first layers, beside
a camera. Each answer is a line.

  ddnn-x --bundle out/bundle \
      --source 'a\b'

.dots at the start of a line are no requests.

Flags (defaults in parentheses):
  --config FILE           the fields below
  --bundle                folder (required)
  --[no]json              print JSON
'''

QUERY = '''ddnn-q asks: this and that.

usage: ddnn-q COMMAND [flags]
       ddnn-q --help

commands
  hard            list them
  classify IMAGE...
                  send pictures

flags
  --cloud=HOST    where
  --one, --other  both
'''


class HelpTest(unittest.TestCase):
    def test_tells_switches_from_flags_with_values(self):
        self.assertEqual(Help('ddnn-x', DAEMON).flags(),
                         [('config', 'value'), ('bundle', 'value'), ('json', 'switch')])
        self.assertEqual(Help('ddnn-q', QUERY).flags(),
                         [('cloud', 'value'), ('one', 'set'), ('other', 'set')])

    def test_a_command_of_a_program_that_shows_values_shows_them_too(self):
        text = 'usage: ddnn-q label ID\n\nflags\n  --clear  take it back\n'
        self.assertEqual(Help('ddnn-q', text, shows_values=True).flags(), [('clear', 'set')])

    def test_finds_synopsis_commands_and_their_texts(self):
        helped = Help('ddnn-q', QUERY)
        self.assertEqual(helped.synopsis, ['ddnn-q COMMAND [flags]', 'ddnn-q --help'])
        self.assertEqual(helped.commands(), ['hard', 'classify'])
        self.assertIn(('list', [('hard', 'list them'), ('classify IMAGE...', 'send pictures')]),
                      helped.blocks)

    def test_sums_a_program_up(self):
        self.assertEqual(Help('ddnn-x', DAEMON).summary(), 'runs the first layers')
        self.assertEqual(Help('ddnn-q', QUERY).summary(), 'asks')

    def test_a_program_that_fails_is_named(self):
        with self.assertRaisesRegex(SystemExit, '/bin/false --help: ended with 1'):
            read_help('/bin/false', 'false')


class ManPageTest(unittest.TestCase):
    def setUp(self):
        self.page = man_page(Help('ddnn-x', DAEMON), [], '1.2', '2026-11-22', ['ddnn-x', 'ddnn-y'])

    def test_is_literal_where_groff_would_not_be(self):
        self.assertIn("\\&.dots at", self.page)
        self.assertIn("\\-\\-source 'a\\eb'", self.page)

    def test_has_the_sections_that_readers_expect(self):
        for line in ('.TH DDNN-X 1 "2026-11-22" "ddnn 1.2" "ddnn"',
                     'ddnn\\-x \\- runs the first layers', '.SH "OPTIONS"',
                     '.TP\n.B \\-\\-bundle\nfolder (required)', '.BR ddnn\\-y (1)'):
            self.assertIn(line, self.page)


class CompletionTest(unittest.TestCase):
    def test_no_proposal_is_for_a_flag_that_no_program_has(self):
        folder, flags = os.environ['DDNN_BIN_DIR'], set()
        for program in os.environ['DDNN_PROGRAMS'].split(','):
            flags |= {name for name, _ in read_help(os.path.join(folder, program), program).flags()}
        if 'network' not in flags:
            self.skipTest('only the device was built')
        known = (bash_completion.FOLDERS | bash_completion.FILES | set(bash_completion.SHIPPED) |
                 set(bash_completion.WORDS))
        self.assertEqual(known - flags, set())


if __name__ == '__main__':
    unittest.main()
