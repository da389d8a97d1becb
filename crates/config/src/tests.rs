//! Text in, problems out.

use crate::{
    Arg, Section, Spanned, Tree, describe, markdown, parse_duration, parse_size, print_duration, print_size,
};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

#[derive(Debug, PartialEq)]
struct Door {
    listen: Vec<(Option<SocketAddr>, bool)>,
    recipients: usize,
    size: u64,
    patience: Duration,
    secret: Option<PathBuf>,
}

#[derive(Debug, PartialEq)]
struct Sample {
    hostname: Option<String>,
    domains: Vec<String>,
    format: u8,
    strict: bool,
    smtp: Door,
    aliases: Vec<(String, Vec<String>)>,
    relay: Option<u16>,
}

fn door(section: &mut Section<'_>) -> Door {
    Door {
        listen: section.each("listen", "Where to listen.", |listen| {
            let address = listen.socket(Arg("address"), "IP address and port.").required();
            (address, listen.flag("tls", "TLS from the first octet.").or(false))
        }),
        recipients: section.count("max-recipients", "Most recipients.").within(1..=1000).or(100),
        size: section.size("max-message-size", "Largest message.").within(1024..=1 << 30).or(50 << 20),
        patience: section.duration("patience", "Longest wait.").or(Duration::from_secs(300)),
        secret: section.path("secret-file", "A file.").optional(),
    }
}

fn sample(section: &mut Section<'_>) -> Sample {
    let hostname = section.parsed("hostname", "a domain name", domain, "The name of this server.");
    Sample {
        hostname: hostname.required(),
        domains: section.text("domains", "Domains with mailboxes here.").many(),
        format: section.child("log", "Logging.", |log| {
            log.choice("format", &[("text", 1), ("json", 2)], "How lines look.").or(1)
        }),
        strict: section.flag("strict", "Be strict.").or(false),
        smtp: section.child("smtp", "The door for strangers.", door),
        aliases: section.child("aliases", "Other names.", |aliases| {
            aliases.entries("address", "Where its mail goes.", |name: Spanned<String>, entry| {
                (name.value, entry.text(Arg("target"), "An address.").many())
            })
        }),
        relay: section.child_if_present("relay", "A relay.", |relay| relay.count("port", "Its port.").or(25)),
    }
}

fn domain(text: &str) -> Result<String, String> {
    if text.contains('.') { Ok(text.to_owned()) } else { Err("it has no dot".to_owned()) }
}

fn env(name: &str) -> Option<String> {
    match name {
        "HOST" => Some("env.example".to_owned()),
        "MANY" => Some("77".to_owned()),
        "YES" => Some("true".to_owned()),
        _ => None,
    }
}

/// The problems of a text, one line each.
fn problems(text: &str) -> String {
    match Tree::from_text("t", text, &env).decode(sample) {
        Ok(_) => String::new(),
        Err(problems) => problems.0.iter().map(|problem| format!("{problem}\n")).collect(),
    }
}

fn read(text: &str) -> Sample {
    Tree::from_text("t", text, &env).decode(sample).unwrap()
}

#[test]
fn reads_everything() {
    let got = read(
        r#"
        hostname mx.example.org
        domains a.example "b.example"
        domains "c.example"
        log format=json
        strict
        smtp {
            listen "[::]:25"
            listen "127.0.0.1:465" tls=#true
            max-recipients 5
            max-message-size "1MiB"; patience "1h30m"
            secret-file "s/x"
        }
        aliases { "sales@a.example" "x@a.example" "y@b.example"; "*@b.example" "z@b.example" }
        relay port=2525
        "#,
    );
    assert_eq!(
        got,
        Sample {
            hostname: Some("mx.example.org".to_owned()),
            domains: ["a.example", "b.example", "c.example"].map(str::to_owned).to_vec(),
            format: 2,
            strict: true,
            smtp: Door {
                listen: vec![
                    (Some("[::]:25".parse().unwrap()), false),
                    (Some("127.0.0.1:465".parse().unwrap()), true)
                ],
                recipients: 5,
                size: 1 << 20,
                patience: Duration::from_secs(5400),
                secret: Some(PathBuf::from("s/x")),
            },
            aliases: vec![
                ("sales@a.example".to_owned(), vec!["x@a.example".to_owned(), "y@b.example".to_owned()]),
                ("*@b.example".to_owned(), vec!["z@b.example".to_owned()]),
            ],
            relay: Some(2525),
        }
    );
    let bare = read("hostname a.b");
    assert_eq!((bare.smtp.recipients, bare.smtp.size, bare.relay, bare.strict), (100, 50 << 20, None, false));
}

#[test]
fn substitutes() {
    let got = read(
        r#"let zone "x.example"
        let n 7
        hostname "mx.$(zone)"
        domains "$(zone)" "$(env:HOST)" "a$(n)b" "$$(zone)" "$5"
        strict "$(env:YES)"
        smtp { max-recipients "$(env:MANY)" }"#,
    );
    assert_eq!(got.hostname.as_deref(), Some("mx.x.example"));
    assert_eq!(got.domains, ["x.example", "env.example", "a7b", "$(zone)", "$5"]);
    assert_eq!((got.strict, got.smtp.recipients), (true, 77));
}

#[test]
fn names_every_mistake() {
    let table = [
        ("", "t:1:1: `hostname` is missing (it is domain name: The name of this server.)\n"),
        ("hostname mx", "t:1:10: `hostname` must be a domain name, not \"mx\" (it has no dot)\n"),
        ("hostname 5", "t:1:10: `hostname` must be text, not 5 (put it in quotes: \"5\")\n"),
        ("hostname", "t:1:1: `hostname` has no value (it is domain name: The name of this server.)\n"),
        ("hostname a.b c.d", "t:1:14: `hostname` takes one value only (remove \"c.d\")\n"),
        (
            "hostname a.b\nhostname a.c\n",
            "t:2:1: `hostname` is given twice (the first is at t:1; remove one of them)\n",
        ),
        (
            "hostname a.b { tls 5 }",
            "t:1:16: unknown option `tls` in `hostname` (`hostname` takes a value and no options)\n",
        ),
        ("hostnane a.b\nhostname a.b", "t:1:1: unknown option `hostnane` (did you mean `hostname`?)\n"),
        (
            "hostname a.b\nzzz 1",
            "t:2:1: unknown option `zzz` (known here: aliases, domains, hostname, log, relay, smtp, strict)\n",
        ),
        (
            "hostname a.b\nsmtp {\n  max-recipient 5\n  max-recipients 0\n  max-message-size \"5 parsecs\"\n  patience 5\n}",
            "t:3:3: unknown option `max-recipient` in `smtp` (did you mean `max-recipients`?)\n\
             t:4:18: `max-recipients` must be between 1 and 1000, not 0\n\
             t:5:20: `max-message-size` cannot be \"5 parsecs\" (a size is a number with a unit, like \"50MiB\", \"25MB\" or \"512KiB\")\n\
             t:6:12: `patience` must be a duration with a unit, not 5 (write \"5s\" for seconds or \"5m\" for minutes)\n",
        ),
        (
            "hostname a.b\nsmtp max-recipients=-1 patience=\"5x\"",
            "t:2:21: `max-recipients` is out of range: -1\n\
             t:2:33: `patience` cannot be \"5x\" (a duration is numbers with units, like \"90s\", \"5m\", \"1h30m\" or \"500ms\")\n",
        ),
        (
            "hostname a.b\nsmtp { listen \"25\"; listen; listen \"[::]:25\" tsl=#true; }",
            "t:2:15: `address` must be an IP address and a port, not \"25\" (write an IP address and a port, like \"0.0.0.0:25\", \"127.0.0.1:25\" or \"[::]:25\")\n\
             t:2:21: `address` is missing in `listen` (it is address and port: IP address and port.)\n\
             t:2:46: unknown option `tsl` in `listen` (did you mean `tls`?)\n",
        ),
        (
            "hostname a.b\nlog format=jsn",
            "t:2:12: `format` must be one of \"text\", \"json\", not \"jsn\" (did you mean \"json\"?)\n",
        ),
        (
            "hostname a.b\nlog \"debug\"",
            "t:2:5: `log` does not take the value \"debug\" (options of `log` stand in a block: log { … })\n",
        ),
        ("hostname a.b\nstrict yes", "t:2:8: `strict` must be #true or #false, not \"yes\"\n"),
        (
            "hostname a.b\nsmtp patience=\"1s\" { patience \"2s\"; }",
            "t:2:6: `patience` is given twice (the first is at t:2; remove one of them)\n",
        ),
    ];
    check(&table);
}

#[test]
fn names_every_mistake_with_variables() {
    let table = [
        ("hostname (x)a.b", "t:1:11: the type annotation (x) has no meaning here (remove it)\n"),
        (
            "hostname \"$(nope)\"",
            "t:1:10: the variable `nope` is not set (set it above this line: let nope \"…\"; the environment is $(env:NAME))\n",
        ),
        (
            "let zone x\nhostname \"$(zoen).y\"",
            "t:2:10: the variable `zoen` is not set (did you mean $(zone)?)\n",
        ),
        (
            "hostname \"x.$(env:NOPE)\"",
            "t:1:10: the environment variable NOPE is not set (set it before the start)\n",
        ),
        ("hostname \"x.$(y\"", "t:1:10: `$(` has no `)` (write $$( for the two characters themselves)\n"),
        ("let a 1\nlet a 2\nhostname a.b", "t:2:5: the variable `a` is set twice (remove one)\n"),
        (
            "let a\nhostname a.b",
            "t:1:1: `let` takes a name and a value (write let name \"value\"; use it as \"$(name)\")\n",
        ),
        (
            "hostname a.b\ninclude",
            "t:2:1: `include` takes names of files only (write include \"file.conf\" or include \"conf.d/*.conf\")\n",
        ),
        (
            "hostname a.b\ninclude \"/nonexistent/x\"",
            "t:2:9: /nonexistent/x cannot be read: it does not exist\n",
        ),
    ];
    check(&table);
}

fn check(table: &[(&str, &str)]) {
    for (text, want) in table {
        assert_eq!(problems(text), *want, "{text}");
    }
}

/// Bare words that KDL cuts off silently or refuses with a generic sentence (docs/config.md).
#[test]
fn explains_missing_quotes() {
    let quote = "addresses, paths, sizes, durations and URLs stand in quotes";
    for (text, at, message) in [
        ("listen 0.0.0.0:25", "1:8", "`0.0.0.0:25` must be quoted"),
        ("size 25MB", "1:6", "`25MB` must be quoted"),
        ("time 1h30m", "1:6", "`1h30m` must be quoted"),
        ("net 10.0.0.0/8", "1:5", "`10.0.0.0/8` must be quoted"),
        ("# x\nü ü\nlisten [::]:25", "3:8", "`[::]:25` must be quoted"),
        ("path /var/lib/mail", "1:6", "`/var/lib/mail` must be quoted"),
        ("path ./x", "1:6", "`./x` must be quoted"),
        ("path unix:/run/x", "1:6", "`unix:/run/x` must be quoted"),
        ("a { b { size 25MB; }; }", "1:14", "`25MB` must be quoted"),
    ] {
        let text = text.strip_prefix("# x").map_or(text.to_owned(), |rest| format!("// x{rest}"));
        let all = problems(&text);
        assert_eq!(
            all.lines().next().unwrap_or_default().split(" (").next().unwrap(),
            format!("t:{at}: {message}"),
            "{all}"
        );
        assert!(all.contains(quote), "{all}");
    }
    for (text, want) in [
        (
            "url https://x.y/z",
            "t:1:5: `//` begins a comment, so only \"https:\" is left of this text (put it in quotes: \"https://x.y/z\")\n",
        ),
        (
            "x key=tcp://h:1",
            "t:1:7: `//` begins a comment, so only \"tcp:\" is left of this text (put it in quotes: \"tcp://h:1\")\n",
        ),
        (
            "hostname ${HOST}",
            "t:1:10: `${` has no meaning here (write \"$(env:HOST)\" for the environment, or put the text in quotes)\n",
        ),
        ("strict true", "t:1:8: `true` is written #true (write #true, or \"true\" for text)\n"),
    ] {
        assert_eq!(problems(text), want, "{text}");
    }
    assert_eq!(problems("hostname \"a.b\"// a comment is allowed here\nstrict #true// here too"), "");
}

/// Mistakes of people who know other configuration files.
#[test]
fn explains_slips_of_syntax() {
    let equals = "no `=` stands between name and value (write the name and the value with a blank between them: name \"value\")";
    for (text, want) in [
        ("hostname = \"a.b\"", format!("t:1:10: {equals}\n")),
        ("hostname= a.b", format!("t:1:9: {equals}\n")),
        ("smtp {\n  max-recipients = 5\n}\n", format!("t:2:18: {equals}\n")),
        (
            "smtp {\n  max-recipients 5\n",
            "t:1:6: this `{` is never closed (add a } where the block ends)\n".to_owned(),
        ),
        ("smtp {\n}}\n", "t:2:2: this `}` closes nothing (remove it)\n".to_owned()),
        ("hostname \"a.b\n", "t:1:10: this text is never closed (add a \" at its end)\n".to_owned()),
        (
            "# a comment\nhostname a.b",
            "t:1:1: `#` begins no comment (comments begin with //; text with a # in it stands in quotes)\n"
                .to_owned(),
        ),
        ("strict 'x'", "t:1:8: text stands in double quotes, not in single ones (write \"x\")\n".to_owned()),
    ] {
        assert_eq!(problems(text), want, "{text}");
    }
}

#[test]
fn deep_nesting_is_refused_not_parsed() {
    for text in ["a{".repeat(100_000), "/*".repeat(100_000), "a {\n".repeat(25)] {
        assert!(problems(&text).contains("nested deeper than 24"), "{}", problems(&text));
    }
    let fits = format!("hostname a.b\n{}{}", "a {\n".repeat(24), "}\n".repeat(24));
    assert_eq!(problems(&fits).lines().count(), 1);
}

#[test]
fn underlines() {
    let text = "hostname \"bücher.example\" ;\tdomains (t)5\nsmtp { patience 5; }";
    let shown = Tree::from_text("maddy.conf", text, &env).decode(sample).unwrap_err().to_string();
    assert_eq!(
        shown,
        "maddy.conf:1:38: the type annotation (t) has no meaning here\n \
         1 | hostname \"bücher.example\" ; domains (t)5\n   \
         |                                      ^\n \
         help: remove it\n\
         maddy.conf:1:40: `domains` must be text, not 5\n \
         1 | hostname \"bücher.example\" ; domains (t)5\n   \
         |                                        ^\n \
         help: put it in quotes: \"5\"\n\
         maddy.conf:2:17: `patience` must be a duration with a unit, not 5\n \
         2 | smtp { patience 5; }\n   \
         |                 ^\n \
         help: write \"5s\" for seconds or \"5m\" for minutes\n"
    );
}

#[test]
fn includes() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write(
        "main.conf",
        "let d \"x.y\"\nhostname \"a.$(d)\"\ninclude \"d/*.conf\"\nsmtp { include \"smtp.inc\"; }",
    );
    write("d/2.conf", "domains \"two.$(d)\"");
    write("d/1.conf", "domains \"one.$(d)\"");
    write("d/.hidden.conf", "nonsense");
    write("d/other.txt", "nonsense");
    write("smtp.inc", "max-recipients 9\nsecret-file \"key\"");
    let tree = Tree::read(&dir.path().join("main.conf"), &env);
    let got = tree.decode(sample).unwrap();
    assert_eq!(got.domains, ["one.x.y", "two.x.y"]);
    assert_eq!((got.smtp.recipients, got.smtp.secret), (9, Some(dir.path().join("key"))));

    write("d/2.conf", "domains 5\nwrong 1");
    write("smtp.inc", "include \"smtp.inc\"");
    let wrong = Tree::read(&dir.path().join("main.conf"), &env).decode(sample).unwrap_err();
    let lines: Vec<String> =
        wrong.0.iter().map(|p| p.to_string().replace(&format!("{}/", dir.path().display()), "")).collect();
    assert_eq!(
        lines,
        [
            "d/2.conf:1:9: `domains` must be text, not 5 (put it in quotes: \"5\")",
            "d/2.conf:2:1: unknown option `wrong` (known here: aliases, domains, hostname, log, relay, smtp, strict)",
            "smtp.inc:1:9: smtp.inc is included within itself, or more than 8 files deep (remove this `include`)",
        ]
    );
    write("d/1.conf", "domains {\n");
    let wrong = Tree::read(&dir.path().join("main.conf"), &env).decode(sample).unwrap_err();
    assert!(wrong.0[0].file.ends_with("d/1.conf"), "{wrong}");
    let missing = Tree::read(&dir.path().join("none.conf"), &env).decode(sample).unwrap_err();
    assert_eq!(missing.0.len(), 1);
    assert!(missing.0[0].message.contains("cannot be read: it does not exist"));
}

#[test]
fn units() {
    for (text, millis) in
        [("5m", 300_000), ("1h30m", 5_400_000), ("500ms", 500), ("1w2d", 777_600_000), ("0s", 0)]
    {
        assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
        assert_eq!(print_duration(&Duration::from_millis(millis)), text);
    }
    for text in ["", "5", "m", "5 m", "30m1h", "5m5m", "1.5h", "-5m", "5M", "99999999999999999w", "5mé"] {
        assert!(parse_duration(text).is_err(), "{text}");
    }
    for (text, octets) in
        [("50MiB", 50 << 20), ("25MB", 25_000_000), ("512KiB", 512 << 10), ("7B", 7), ("0B", 0)]
    {
        assert_eq!(parse_size(text), Ok(octets), "{text}");
        assert_eq!(print_size(octets), text);
    }
    assert_eq!(parse_size("50 mib"), Ok(50 << 20));
    for text in ["", "5", "MiB", "5XB", "-1KB", "99999999999TiB", "1.5MiB"] {
        assert!(parse_size(text).is_err(), "{text}");
    }
}

#[test]
fn lists_its_options() {
    let options = describe(sample);
    let lines: Vec<String> = options
        .iter()
        .map(|o| format!("{} | {} | {:?} | {}", o.path, o.kind, o.default, o.repeats))
        .collect();
    assert_eq!(
        lines,
        [
            "hostname | domain name | Required | false",
            "domains | text | None | true",
            "log | section | Section | false",
            "log.format | one of \"text\", \"json\" | Value(\"\\\"text\\\"\") | false",
            "strict | flag | Value(\"#false\") | false",
            "smtp | section | Section | false",
            "smtp.listen | section | Section | true",
            "smtp.listen.<address> | address and port | Required | false",
            "smtp.listen.tls | flag | Value(\"#false\") | false",
            "smtp.max-recipients | number, 1 to 1000 | Value(\"100\") | false",
            "smtp.max-message-size | size, \"1KiB\" to \"1GiB\" | Value(\"\\\"50MiB\\\"\") | false",
            "smtp.patience | duration | Value(\"\\\"5m\\\"\") | false",
            "smtp.secret-file | path | None | false",
            "aliases | section | Section | false",
            "aliases.<address> | section | Section | true",
            "aliases.<address>.<target> | text | None | true",
            "relay | section | Section | false",
            "relay.port | number | Value(\"25\") | false",
        ]
    );
    let page = markdown(&options);
    assert!(
        page.contains("\n## `smtp`\n\nThe door for strangers.\n\n| option | value | default | meaning |\n"),
        "{page}"
    );
    assert!(page.contains("| `patience` | duration | `\"5m\"` | Longest wait. |\n"), "{page}");
}

#[test]
fn quotes_what_it_reads_back() {
    for text in ["", "plain", "a \"b\" \\ c", "two\nlines\t.", "$(x) $ $$(y)", "é\u{7}", "//x"] {
        let source = format!("hostname \"a.b\"\ndomains {}", crate::quote(text));
        assert_eq!(read(&source).domains, [text], "{source}");
    }
}
