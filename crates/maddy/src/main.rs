//! The program: one binary that serves mail and manages the server.

mod admin;
mod bans;
mod beside;
mod certificates;
mod cli;
mod config;
mod confine;
mod control;
mod daemon;
mod demo;
mod dns;
mod doors;
mod install;
mod keys;
mod listeners;
mod local;
mod logging;
mod login;
mod metrics;
mod notifications;
mod openapi;
mod operations;
mod otlp;
mod overview;
mod postmaster;
mod reload;
mod run;
mod selfcheck;
mod setup;
mod status;
mod sts;
mod trace;
mod website;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some((name, arguments)) = cli::sendmail::called_as(std::env::args_os()) {
        return cli::sendmail::run(&name, &arguments);
    }
    cli::run(cli::Cli::parse())
}
