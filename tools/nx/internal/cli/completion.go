package cli

import (
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// completionExits is of nx completion and the commands below it.
const completionExits = `

Exit status:
  0  done
  2  wrong usage, or the script cannot be written`

// withoutBashCompletion is the end of the script for bash: cobra's asks functions of the package bash-completion for the words of the
// line, and where that is not loaded bash's own arrays do, in which only a flag's = and a : are words of their own.
const withoutBashCompletion = `
if ! declare -F _get_comp_words_by_ref >/dev/null 2>&1; then
    __nx_init_completion()
    {
        COMPREPLY=()
        words=("${COMP_WORDS[@]}")
        cword=$COMP_CWORD
        cur=${COMP_WORDS[COMP_CWORD]}
        prev=${COMP_WORDS[COMP_CWORD-1]}
    }
fi
`

// completeFlag offers values for a flag that takes one of them.
func completeFlag(cmd *cobra.Command, flag string, values ...string) {
	_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)) // the flag exists
}

// explainCompletion completes cobra's completion command.
func explainCompletion(cmd *cobra.Command) {
	cmd.Args, cmd.RunE = cobra.ArbitraryArgs, noCommand
	cmd.Long += completionExits
	cmd.Example = "  source <(nx completion bash)\n  nx completion fish > ~/.config/fish/completions/nx.fish"
	for _, shell := range cmd.Commands() {
		shell.Args = exactly(0)
		shell.Long = strings.TrimSpace(shell.Long) + completionExits
		if shell.Name() != "bash" {
			continue
		}
		write := shell.RunE
		shell.RunE = func(cmd *cobra.Command, args []string) error {
			if err := write(cmd, args); err != nil {
				return err
			}
			_, err := io.WriteString(cmd.OutOrStdout(), withoutBashCompletion)
			return err
		}
	}
}
