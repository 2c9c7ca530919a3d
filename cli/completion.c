/* "postern completion bash": a script made from the table of commands. */
#include <stdio.h>
#include <string.h>

#include "cli/client_flags.h"
#include "cli/command.h"

static const char head[] =
    "# bash completion for postern, made by \"postern completion bash\" from its commands.\n"
    "_postern_table='";

/* Rows are "words|usage". What an option takes is the word behind it in the usage. */
static const char body[] =
    "'\n"
    "_postern_words() { COMPREPLY+=($(compgen -W \"$1\" -- \"$cur\")); }\n"
    "# _postern_value KIND: FILE and DIR are completed as such, a|b|c are its choices.\n"
    "_postern_value() {\n"
    "    case $1 in\n"
    "    FILE* | PEM*) compopt -o filenames; COMPREPLY+=($(compgen -f -- \"$cur\")) ;;\n"
    "    DIR*) compopt -o filenames; COMPREPLY+=($(compgen -d -- \"$cur\")) ;;\n"
    "    *[a-z]'|'[a-z]*) _postern_words \"${1//|/ }\" ;;\n"
    "    esac\n"
    "}\n"
    "_postern() {\n"
    "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
    "    local i typed= first=1 name usage next kind word\n"
    "    COMPREPLY=()\n"
    "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
    "        case ${COMP_WORDS[i]} in\n"
    "        --config | --admin) [ -n \"$typed\" ] || { ((i++)); first=$((i + 1)); } ;;\n"
    "        -*) [ -n \"$typed\" ] || first=$((i + 1)) ;;\n"
    "        *) typed+=\"${COMP_WORDS[i]} \" ;;\n"
    "        esac\n"
    "    done\n"
    "    case $prev in --config | --admin) _postern_value FILE; return ;; esac\n"
    "    if [ -z \"$typed\" ]; then\n"
    "        case $cur in -*) _postern_words '--config --admin --json --help --version'; return ;; "
    "esac\n"
    "    fi\n"
    "    while IFS='|' read -r name usage; do\n"
    "        case \"$name \" in\n"
    "        \"$typed\"*)\n"
    "            next=${name:${#typed}}\n"
    "            [ -z \"$next\" ] || _postern_words \"${next%% *}\"\n"
    "            ;;\n"
    "        esac\n"
    "        case \"$typed\" in \"$name \"*) ;; *) continue ;; esac\n"
    "        usage=${usage//[\\[\\]]/} kind=\n"
    "        for word in $usage; do\n"
    "            [ \"$kind\" != \"$prev\" ] || { _postern_value \"$word\"; return; }\n"
    "            kind=\n"
    "            case $word in --*) kind=$word ;; esac\n"
    "        done\n"
    "        case $cur in\n"
    "        -*) _postern_words '--config --admin --json --help'\n"
    "            for word in $usage; do case $word in --*) _postern_words \"$word\" ;; esac; done "
    ";;\n"
    "        *) case ${usage%% *} in FILE* | DIR* | *[a-z]'|'[a-z]*) _postern_value \"${usage%% "
    "*}\" ;;\n"
    "            --*) [ -n \"$cur\" ] || for word in $usage; do case $word in --*) _postern_words "
    "\"$word\" ;; esac; done ;;\n"
    "            esac ;;\n"
    "        esac\n"
    "    done <<<\"$_postern_table\"\n"
    "    COMPREPLY=($(printf '%s\\n' \"${COMPREPLY[@]}\" | sort -u))\n"
    "}\n"
    "complete -F _postern postern\n";

int command_completion_bash(struct cli *cli)
{
    int status = cli_parse(cli, NULL, NULL);
    if (status != CLI_OK)
        return status;
    (void)fputs(head, stdout);
    for (const struct command *c = commands; c->name; c++) {
        (void)printf("%s%s|%s", c == commands ? "" : "\n", c->name, c->usage);
        client_flags_print_usage(client_flags_of(c->name), stdout);
    }
    (void)fputs(body, stdout);
    return CLI_OK;
}
