//! Completions for shells, and manual pages: what packages ship beside the program.

use std::io;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Command, ValueEnum};
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, italic, roman};
use slurm_asg_core::policy::reference::{self, KEYS, TABLES};

use crate::output::print;

/// A page of the manual.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Page {
    /// slurm-asg(8)
    #[default]
    #[value(name = "slurm-asg")]
    Program,
    /// asg.toml(5)
    #[value(name = "asg.toml")]
    Configuration,
}

/// Prints the completions of the program for a shell.
///
/// # Errors
/// If they cannot be printed.
pub fn completions(mut program: Command, shell: Shell) -> Result<ExitCode> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut program, "slurm-asg", &mut text);
    print(&String::from_utf8(text)?)?;
    Ok(ExitCode::SUCCESS)
}

/// Prints a manual page as roff.
///
/// # Errors
/// If it cannot be printed.
pub fn man(program: Command, page: Page) -> Result<ExitCode> {
    let mut text = Vec::new();
    match page {
        Page::Program => write_program(program, &mut text)?,
        Page::Configuration => write_configuration(&mut text)?,
    }
    print(&String::from_utf8(text)?)?;
    Ok(ExitCode::SUCCESS)
}

fn title(name: &str, section: &str) -> Roff {
    let mut roff = Roff::new();
    let source = concat!("slurm-asg ", env!("CARGO_PKG_VERSION"));
    roff.control("TH", [name, section, "", source, "slurm-asg"]);
    roff
}

/// The page of the program: each command with its options, from the definitions that parse them.
fn write_program(mut program: Command, out: &mut Vec<u8>) -> io::Result<()> {
    program.build();
    title("slurm-asg", "8").to_writer(out)?;
    let man = Man::new(program.clone());
    man.render_name_section(out)?;
    man.render_synopsis_section(out)?;
    man.render_description_section(out)?;
    man.render_options_section(out)?;
    let mut roff = Roff::new();
    roff.control("SH", ["COMMANDS"]);
    roff.to_writer(out)?;
    for command in
        program.get_subcommands().filter(|it| !it.is_hide_set() && it.get_name() != "help")
    {
        write_command(command, out)?;
    }
    let mut roff = Roff::new();
    let entry = |roff: &mut Roff, name: &str, text: &str| {
        roff.control("TP", []);
        roff.text([bold(name)]);
        roff.text([roman(text)]);
    };
    roff.control("SH", ["FILES"]);
    entry(&mut roff, "/etc/slurm/asg.toml", "The configuration, see asg.toml(5).");
    entry(&mut roff, "/run/slurm-asg/asg.sock", "The plugin's socket.");
    roff.control("SH", ["EXIT STATUS"]);
    entry(&mut roff, "0", "All is well.");
    entry(&mut roff, "1", "Something is wrong, see the message.");
    entry(&mut roff, "2", "Wrong arguments.");
    roff.control("SH", ["SEE ALSO"]);
    roff.text([
        bold("asg.toml"),
        roman("(5), "),
        bold("slurm-asg-resume"),
        roman("(8), "),
        bold("slurm-asg-suspend"),
        roman("(8), "),
        bold("slurm-asg-node"),
        roman("(8), "),
        bold("slurm.conf"),
        roman("(5)"),
    ]);
    roff.to_writer(out)
}

/// A command's part: how it is called, what it does, its options, its examples.
fn write_command(command: &Command, out: &mut Vec<u8>) -> io::Result<()> {
    let mut roff = Roff::new();
    roff.control("SS", [format!("slurm-asg {}", command.get_name()).as_str()]);
    if let Some(about) = command.get_long_about().or_else(|| command.get_about()) {
        roff.text([roman(about.to_string())]);
    }
    for argument in command.get_arguments().filter(|it| !it.is_global_set()) {
        // `--help` explains itself.
        if argument.is_hide_set() || argument.get_id() == "help" {
            continue;
        }
        roff.control("TP", []);
        let mut head = Vec::new();
        if let Some(short) = argument.get_short() {
            head.extend([bold(format!("-{short}")), roman(", ")]);
        }
        if let Some(long) = argument.get_long() {
            head.push(bold(format!("--{long}")));
        }
        let takes_value = argument.get_num_args().is_none_or(|count| count.takes_values());
        if takes_value && let Some(names) = argument.get_value_names() {
            if !head.is_empty() {
                head.push(roman(" "));
            }
            head.push(italic(names.join(" ")));
        }
        roff.text(head);
        roff.text([roman(argument.get_help().map(ToString::to_string).unwrap_or_default())]);
    }
    if let Some(after) = command.get_after_help() {
        roff.control("PP", []);
        roff.control("nf", []);
        for line in after.to_string().lines() {
            roff.text([roman(line)]);
        }
        roff.control("fi", []);
    }
    roff.to_writer(out)
}

/// The page of the configuration, from the list of its keys.
fn write_configuration(out: &mut Vec<u8>) -> io::Result<()> {
    let mut roff = title("asg.toml", "5");
    roff.control("SH", ["NAME"]);
    roff.text([roman("asg.toml - which Auto Scaling groups serve which of Slurm's nodes")]);
    roff.control("SH", ["DESCRIPTION"]);
    roff.text([roman(
        "The configuration of slurm-asg, in TOML. It lies beside slurm.conf, as a rule as \
         /etc/slurm/asg.toml. The plugin in slurmctld takes a change up within two seconds; a bad \
         file leaves the last good one in force, and is named in slurmctld's log with the line and \
         what to write. slurm-asg check reads the file as the plugin does.",
    )]);
    for (table, about) in TABLES {
        let name = if table.is_empty() { "KEYS" } else { table };
        roff.control("SH", [format!("{name}: {about}").as_str()]);
        for key in KEYS.iter().filter(|key| key.table == table) {
            roff.control("TP", []);
            roff.text([bold(key.name)]);
            let default = match key.default {
                reference::Default::Required => "Required.".to_owned(),
                reference::Default::Value(value) => format!("Default: {value}."),
                reference::Default::Text(text) => format!("Default: {text}."),
            };
            roff.text([roman(format!("{}. {default}", capital(key.text)))]);
        }
    }
    roff.control("SH", ["EXAMPLE"]);
    roff.control("nf", []);
    for line in EXAMPLE.lines() {
        roff.text([roman(line)]);
    }
    roff.control("fi", []);
    roff.control("SH", ["SEE ALSO"]);
    roff.text([bold("slurm-asg"), roman("(8), "), bold("slurm.conf"), roman("(5)")]);
    roff.to_writer(out)
}

/// The example that packages ship.
const EXAMPLE: &str = include_str!("../../../packaging/conf/asg.toml.example");

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}
