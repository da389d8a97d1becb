//! One client changes a mailbox at random, another follows three searches by their updates alone: what it comes to must be
//! what the same searches find anew.

use crate::chat::Stage;

const ROUNDS: u64 = 60;

/// What the following client knows.
#[derive(Default)]
struct Follower {
    unseen: Vec<u32>,
    /// By message numbers.
    unflagged: Vec<u32>,
    sorted: Vec<u32>,
}

impl Follower {
    fn list(&mut self, tag: &str) -> &mut Vec<u32> {
        match tag {
            "u" => &mut self.unseen,
            "n" => &mut self.unflagged,
            _ => &mut self.sorted,
        }
    }

    fn take_in(&mut self, line: &str) {
        if let Some(number) = line.strip_prefix("* ").and_then(|rest| rest.strip_suffix(" EXPUNGE")) {
            let gone: u32 = number.parse().unwrap();
            assert!(!self.unflagged.contains(&gone), "EXPUNGE came before REMOVEFROM: {line}");
            self.unflagged.iter_mut().filter(|number| **number > gone).for_each(|number| *number -= 1);
        }
        let Some(rest) = line.strip_prefix("* ESEARCH (TAG \"") else { return };
        let (tag, rest) = rest.split_once("\")").unwrap();
        let rest = rest.trim_start_matches(" UID").trim_start();
        let list = self.list(tag);
        if let Some(all) = rest.strip_prefix("ALL ") {
            *list = numbers(all);
        } else if let Some((word, pairs)) = rest.split_once(" (") {
            let words: Vec<&str> = pairs.trim_end_matches(')').split(' ').collect();
            for pair in words.chunks(2) {
                let (place, set): (usize, _) = (pair[0].parse().unwrap(), numbers(pair[1]));
                match (word, place.checked_sub(1)) {
                    ("REMOVEFROM", None) => list.retain(|number| !set.contains(number)),
                    ("REMOVEFROM", Some(at)) => {
                        let taken: Vec<u32> = list.drain(at..at + set.len()).collect();
                        assert_eq!(taken, set, "{line}");
                    }
                    (_, None) => {
                        list.extend(set);
                        list.sort_unstable();
                    }
                    (_, Some(at)) => drop(list.splice(at..at, set)),
                }
            }
        }
    }
}

fn numbers(set: &str) -> Vec<u32> {
    let range = |part: &str| {
        let (from, to) = part.split_once(':').unwrap_or((part, part));
        from.parse::<u32>().unwrap()..=to.parse::<u32>().unwrap()
    };
    set.split(',').flat_map(range).collect()
}

/// Runs a command of A; gives its untagged lines.
async fn run(stage: &mut Stage, tag: &str, command: &str) -> Vec<String> {
    stage.play(&format!("A: {tag} {command}")).await.unwrap();
    let mut lines = Vec::new();
    loop {
        let line = stage.read_line("A").await.unwrap();
        if line.starts_with(&format!("{tag} ")) {
            assert!(line.starts_with(&format!("{tag} OK")), "{command}: {line}");
            return lines;
        }
        lines.push(line);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_follows_the_updates_has_the_result() {
    for seed in [3_u64, 1234, 0x5eed] {
        let mut state = seed;
        let mut below = |end: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % end
        };
        let mut stage = Stage::new().await;
        stage.play("A: connect\nB: connect\nB: s SELECT INBOX").await.unwrap();
        stage.until("B", "s OK").await.unwrap();
        run(&mut stage, "a", "SELECT INBOX").await;
        let mut follower = Follower::default();
        for (tag, command) in [
            ("u", "UID SEARCH RETURN (UPDATE ALL) UNSEEN"),
            ("n", "SEARCH RETURN (UPDATE ALL) UNFLAGGED"),
            ("s", "UID SORT RETURN (UPDATE ALL) (REVERSE SUBJECT SIZE) UTF-8 UNDELETED NOT SUBJECT c"),
        ] {
            run(&mut stage, tag, command).await.iter().for_each(|line| follower.take_in(line));
        }
        for round in 0..ROUNDS {
            let (one, flag) = (1 + below(9), ["\\Seen", "\\Flagged", "\\Deleted"][below(3) as usize]);
            let command = match below(6) {
                0..=2 => {
                    let subject = ["a", "b", "c", "Re: a", "B"][below(5) as usize];
                    format!("! deliver INBOX Subject: {subject}\\r\\n\\r\\n{}", "x".repeat(below(4) as usize))
                }
                3 => "B: b EXPUNGE".to_owned(),
                _ => format!(
                    "B: b UID STORE {one}:{} {}FLAGS.SILENT {flag}",
                    one + 3,
                    ["+", "-"][below(2) as usize]
                ),
            };
            stage.play(&command).await.unwrap();
            if command.starts_with('B') {
                stage.until("B", "b OK").await.unwrap();
            }
            // Some of its commands may not tell EXPUNGE.
            let command = ["NOOP", "SEARCH ALL", "UID SEARCH ALL"][below(3) as usize];
            run(&mut stage, "x", command).await.iter().for_each(|line| follower.take_in(line));
            run(&mut stage, "x", "NOOP").await.iter().for_each(|line| follower.take_in(line));
            for (tag, command) in [
                ("u", "UID SEARCH RETURN (ALL) UNSEEN"),
                ("n", "SEARCH RETURN (ALL) UNFLAGGED"),
                ("s", "UID SORT RETURN (ALL) (REVERSE SUBJECT SIZE) UTF-8 UNDELETED NOT SUBJECT c"),
            ] {
                let lines = run(&mut stage, "y", command).await;
                let [line] = lines.as_slice() else { panic!("seed {seed}, round {round}: {lines:?}") };
                let want = line.split_once(" ALL ").map(|(_, set)| numbers(set)).unwrap_or_default();
                assert_eq!(*follower.list(tag), want, "seed {seed}, round {round}, {tag}");
            }
        }
    }
}
