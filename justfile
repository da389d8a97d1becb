# One verb per habit. `just` alone lists them.

[private]
default:
    @just --list

# A private mail server on loopback, without configuration.
demo *args:
    cargo run --release -- demo {{args}}

# Formatting, lints, tests: what every change must pass.
check:
    .ci/run

# Every test, with a summary.
test:
    tests/run

# Only the stories with the real daemon.
stories *filter:
    cargo build -p maddy
    cargo test -p tests --test stories {{filter}}

# Only the real clients.
clients *filter:
    tests/install
    cargo build -p maddy
    cargo test -p tests --test clients {{filter}}

# A Debian of its own with the package in it, booted (as root; systemd-container and debootstrap).
boot:
    cargo build -p maddy
    tests/boot

# The Debian package, in target/debian.
deb:
    cargo build --release
    dist/debian/build

# The book as pages, in target/book (mdBook).
book:
    mdbook build

# The house rules: who may use whom, file lengths, lists that must be true.
tidy:
    cargo run -q -p xtask -- tidy

# Put the sources into their one form.
fmt:
    cargo fmt --all
