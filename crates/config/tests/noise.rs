//! Broken text must give problems, with places that are in the text, and never a panic.

use config::{Arg, Section, Tree};

const TEXT: &str = r##"
// a comment with ü
let zone "example.org"
hostname "mx.$(zone)" /* inner /* nested */ */
domains "$(zone)" b.example
smtp {
    listen "[::]:25" tls=#true; max-recipients 5
    max-message-size "50MiB"
    patience r"1h30m" // end
    text #"raw "quoted" text"#
    /-off { x 1; }
    long """
        several
        lines
        """
}
number 0x1F 1e5 -2.5 #null
"##;

fn decode(section: &mut Section<'_>) {
    let _ = section.text("hostname", "").required();
    let _ = section.text("domains", "").many();
    section.child("smtp", "", |smtp| {
        let _ = smtp.each("listen", "", |listen| {
            (listen.socket(Arg("address"), "").required(), listen.flag("tls", "").or(false))
        });
        let _ = smtp.count("max-recipients", "").within(1..=10u32).or(1);
        let _ = smtp.size("max-message-size", "").within(1..=1u64 << 40).or(1);
        let _ = smtp.duration("patience", "").optional();
    });
    let _ = section.entries("name", "", |_, entry| entry.text(Arg("value"), "").many());
}

/// A generator of small quality, which is enough here (Knuth, MMIX).
struct Noise(u64);

impl Noise {
    fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % most.max(1)
    }
}

const PIECES: [&str; 24] = [
    "{",
    "}",
    "\"",
    "\\",
    "$(",
    ")",
    "$(env:X)",
    "//",
    "/*",
    "*/",
    "/-",
    "\n",
    "é",
    "\u{7}",
    "#",
    "=",
    "0x",
    "include \"x\"\n",
    "let a \"$(a)\"\n",
    "\"\"\"",
    ";",
    "\u{feff}",
    "99999999999999999999999999999999999999999999",
    "(t)",
];

fn spoil(noise: &mut Noise) -> String {
    let mut text: Vec<char> = TEXT.chars().collect();
    for _ in 0..=noise.below(6) {
        let at = noise.below(text.len());
        match noise.below(3) {
            0 => drop(text.drain(at..(at + noise.below(20)).min(text.len()))),
            1 => drop(text.splice(at..at, PIECES[noise.below(PIECES.len())].chars())),
            _ => text.truncate(at.max(1)),
        }
    }
    text.into_iter().collect()
}

#[test]
fn broken_text_gives_problems() {
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| {
        u64::from(std::process::id()) << 20
            | u64::from(std::time::UNIX_EPOCH.elapsed().unwrap().subsec_nanos())
    });
    println!("SEED={seed}");
    let mut noise = Noise(seed);
    for _ in 0..500 {
        let text = spoil(&mut noise);
        let tree = Tree::from_text("t", &text, &|name| (name == "Y").then(String::new));
        if let Err(problems) = tree.decode(decode) {
            assert!(!problems.0.is_empty() && !problems.to_string().is_empty());
            let lines = text.lines().count().max(1);
            for problem in &problems.0 {
                assert!(
                    (1..=lines + 1).contains(&problem.line) && problem.column >= 1,
                    "{problem} in {text:?}"
                );
                assert!(!problem.message.is_empty());
            }
        }
    }
}
