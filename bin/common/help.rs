//! The two forms of help: `-h` fits a screen, `--help` has everything, in groups, with examples.

use clap::{Command, CommandFactory};

/// What a program's help is made of, beside its options.
pub struct Help {
    /// The options that `-h` shows.
    pub first: &'static [&'static str],
    /// Headings, and the options below each, by their long names. Others have the heading "Options".
    pub groups: &'static [(&'static str, &'static [&'static str])],
    /// Lines that show how it is used.
    pub examples: &'static str,
}

/// The command line of a program, for `-h` or for `--help`.
pub fn command<Args: CommandFactory>(help: &'static Help, is_short: bool) -> Command {
    let command = Args::command();
    let more = format!(
        "{0} --help shows all options and examples; man {0} explains them.",
        super::PROGRAM
    );
    command
        .mut_args(|arg| {
            let name = arg.get_long().map(str::to_owned).unwrap_or_default();
            let is_option = !arg.is_positional();
            let heading = help
                .groups
                .iter()
                .find(|(_, names)| names.contains(&name.as_str()));
            let arg = match heading.filter(|_| !is_short) {
                Some((heading, _)) => arg.help_heading(*heading),
                None => arg,
            };
            arg.hide_short_help(is_option && !help.first.contains(&name.as_str()))
        })
        .term_width(80)
        .after_help(more)
        .after_long_help(format!("Examples:\n{}", help.examples))
}

#[cfg(test)]
pub fn check<Args: CommandFactory>(help: &'static Help) {
    use clap_complete::{Shell, generate};
    use std::path::Path;
    let mut command = command::<Args>(help, false);
    command.build();
    for arg in command.get_arguments().filter(|arg| !arg.is_positional()) {
        let name = arg.get_long().unwrap_or_default();
        let is_grouped = arg.get_help_heading().is_some() || matches!(name, "help" | "version");
        assert!(is_grouped, "--{name} is in no group of the help");
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("bin/completions");
    for (shell, file) in [
        (Shell::Bash, format!("{}.bash", super::PROGRAM)),
        (Shell::Zsh, format!("_{}", super::PROGRAM)),
        (Shell::Fish, format!("{}.fish", super::PROGRAM)),
    ] {
        let mut made = Vec::new();
        generate(shell, &mut command, super::PROGRAM, &mut made);
        let path = folder.join(file);
        if std::env::var_os("UPDATE_COMPLETIONS").is_some() {
            std::fs::write(&path, &made).unwrap();
        }
        let kept = std::fs::read(&path).unwrap_or_default();
        let how = "to make them anew: UPDATE_COMPLETIONS=1 cargo test --bins";
        assert!(
            kept == made,
            "{} isn't true any more; {how}",
            path.display()
        );
    }
}
