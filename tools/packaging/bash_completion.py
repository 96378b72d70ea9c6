"""A bash completion from a program's --help: flags, commands, and values where they are known."""

# What the value of a flag is. A flag that is not here gets no proposals: numbers, names, addresses.
FOLDERS = {'bundle', 'state', 'spool', 'init', 'out', 'logdir', 'log_dir', 'onnx', 'bin_dir'}
FILES = {'config', 'store', 'stats_file', 'json'}
SHIPPED = {'network': '/usr/share/ddnn/models', 'topology': '/usr/share/ddnn/topologies'}
DATASETS = 'fashion-mnist mnist six-cameras:fashion-mnist six-cameras:mnist grid:fashion-mnist ' \
    'grid:mnist cifar10: mvmc: folder:'
PATHS_BEHIND = '@(video|images|watch|folder|cifar10|mvmc):*'
WORDS = {
    'log_level': 'trace debug info warning error off',
    'source': 'camera:0 rtsp:// http:// watch: video: images: ' + DATASETS,
    'data': DATASETS,
    'resize': 'stretch fit crop',
    'split': 'train calibration test',
    'criterion': 'entropy largest_probability margin',
    'precision': 'float32 bfloat16',
    'device': 'cpu cuda',
}

TEMPLATE = r'''# bash completion for {program}; made from its --help
{function}() {{
  # Whole words as they were typed: readline cuts at = and : as well.
  local line="${{COMP_LINE:0:COMP_POINT}}"
  local cur="${{line##*[[:space:]]}}"
  local -a before
  read -r -a before <<<"${{line:0:${{#line}}-${{#cur}}}}"
  local prev="" flag="" value="" command="" word
  [ ${{#before[@]}} -le 1 ] || prev="${{before[${{#before[@]}}-1]}}"
  COMPREPLY=()
{find_command}
  local flags="{flags}"
{command_flags}
  if [[ $cur == --*=* ]]; then
    flag="${{cur%%=*}}" value="${{cur#*=}}"
  elif [[ $prev == --?* && $prev != *=* && " $flags " == *" $prev= "* ]]; then
    flag="$prev" value="$cur"
{operands}
  else
    mapfile -t COMPREPLY < <(compgen -W "$flags" -- "$cur")
    [[ ${{#COMPREPLY[@]}} != 1 || ${{COMPREPLY[0]}} != *= ]] || compopt -o nospace 2>/dev/null
    return
  fi

  case "$flag" in
{values}
  esac
  [[ ${{#COMPREPLY[@]}} != 1 || ${{COMPREPLY[0]}} != *: ]] || compopt -o nospace 2>/dev/null
  # What readline replaces begins behind the last colon.
  if [[ $value == *:* && $COMP_WORDBREAKS == *:* ]]; then
    COMPREPLY=("${{COMPREPLY[@]#"${{value%:*}}:"}}")
  fi
}}
complete -F {function} {program}
'''

FIND_COMMAND = r'''  for word in "${before[@]:1}"; do
    [[ " %s " != *" $word "* ]] || { command="$word"; break; }
  done'''

OPERANDS = r'''  elif [[ $cur != -* && -z $command ]]; then
    mapfile -t COMPREPLY < <(compgen -W "%s" -- "$cur")
    return
  elif [[ $cur != -* ]]; then
    mapfile -t COMPREPLY < <(compgen -f -- "$cur")
    compopt -o filenames 2>/dev/null
    return'''


def flag_words(flags):
    words = []
    for name, kind in flags:
        if kind == 'value':
            words.append('--%s=' % name)
        else:
            words.append('--' + name)
            if kind == 'switch':
                words.append('--no' + name)
    return sorted(set(words))


def values(flags):
    """The arms of a case over flags that take a value."""
    arms = []
    names = sorted({name for name, kind in flags if kind == 'value'})

    def arm(chosen, lines):
        chosen = [name for name in names if name in chosen]
        if chosen:
            arms.append('    %s)\n%s\n      ;;' % ('|'.join('--' + n for n in chosen), '\n'.join(
                '      ' + line for line in lines)))

    quoting = 'compopt -o filenames 2>/dev/null'
    arm(FOLDERS, ['mapfile -t COMPREPLY < <(compgen -d -- "$value")', quoting])
    arm(FILES, ['mapfile -t COMPREPLY < <(compgen -f -- "$value")', quoting])
    for name, folder in SHIPPED.items():
        arm({name}, ['mapfile -t COMPREPLY < <(compgen -f -- "$value"',
                     '  compgen -G "%s/${value##*/}*.textproto"' % folder,
                     '  compgen -G "%s/*/${value##*/}*.textproto")' % folder, quoting])
    for name, words in WORDS.items():
        lines = ['mapfile -t COMPREPLY < <(compgen -W "%s" -- "$value")' % words]
        if DATASETS in words:
            lines += ['if [[ $value == %s || $value == camera:/* ]]; then' % PATHS_BEHIND,
                      '  mapfile -t COMPREPLY < <('
                      'compgen -f -P "${value%%:*}:" -- "${value#*:}")',
                      '  ' + quoting, 'fi']
        arm({name}, lines)
    return '\n'.join(arms) if arms else '    *) ;;'


def completion(helped, commands):
    """The whole file. helped: the program's Help; commands: pairs (name, Help)."""
    names = [name for name, _ in commands]
    own = helped.flags()
    every = own + [flag for _, text in commands for flag in text.flags()]
    arms = ['    %s) flags="$flags %s" ;;' % (name, ' '.join(flag_words(text.flags())))
            for name, text in commands if text.flags()]
    return TEMPLATE.format(
        program=helped.program,
        function='_' + helped.program.replace('-', '_'),
        find_command=FIND_COMMAND % ' '.join(names) if names else '',
        flags=' '.join(flag_words(own) + ['--help']),
        command_flags='  case "$command" in\n%s\n  esac' % '\n'.join(arms) if arms else '',
        operands=OPERANDS % ' '.join(names) if names else '',
        values=values(every))
