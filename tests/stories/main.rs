//! Stories: the real daemon, its clients and other mail servers, from end to end. One file each.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a story fails by panicking")]

mod alias_catchall_subaddress;
mod any_pieces;
mod cli_on_live_daemon;
mod database_locked;
mod delay_and_giving_up;
mod demo;
mod disk_full;
mod first_mx_down;
mod forward_with_srs;
mod garbage;
mod greylisting_remote;
mod guessing_is_refused;
mod inbound_reaches_idle;
mod judged_on_arrival;
mod kill9_mid_delivery;
mod large_mail;
mod limits_hold;
mod log_lines;
mod loops_end;
mod many_at_once;
mod notices_find_home;
mod open_relay_refused;
mod opportunistic_tls;
mod reload_keeps_connections;
mod restart_with_full_queue;
mod search_index;
mod signed_on_the_way_out;
mod smuggling_refused;
mod starttls_injection;
mod state_is_guarded;
mod stopping_says_goodbye;
mod submission_completes;
mod submission_to_remote_and_dsn_back;
mod two_servers;
mod what_the_other_side_can;
