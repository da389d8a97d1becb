//! Messages to measure with: always the same for a number, each a little different from the others.

use std::fmt::Write as _;

/// Words of the texts. `needle` stands in one message of a hundred.
const WORDS: [&str; 32] = [
    "report", "meeting", "about", "garden", "morning", "project", "delay", "invoice", "weather", "station",
    "letter", "window", "number", "paper", "friend", "travel", "answer", "question", "coffee", "market",
    "river", "music", "kitchen", "summer", "village", "doctor", "bridge", "winter", "picture", "holiday",
    "library", "ticket",
];
const PEOPLE: [&str; 12] =
    ["Ann", "Bob", "Carla", "Dieter", "Eve", "Farid", "Grace", "Hanna", "Igor", "Jane", "Kofi", "Lena"];
/// Octets of a message, about.
const SIZE: usize = 2200;
/// Seconds of 1 January 2024, from which the messages come one every ten minutes.
pub const BEGIN: u64 = 1_704_067_200;
pub const STEP: u64 = 600;

/// A sequence of numbers that looks random and is not.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16).unwrap_or(0) % sides
    }
}

/// Message `number` of a mailbox, lines ending in CRLF, about 2.2 KB; one in eight has two parts and is larger.
pub fn mail(number: usize) -> String {
    let mut dice = Dice::new(number as u64 + 1);
    let (from, to) = (PEOPLE[dice.roll(12)], PEOPLE[dice.roll(12)]);
    let mut text = String::with_capacity(SIZE + 600);
    let _ = write!(
        text,
        "Received: from relay.example.net (relay.example.net [192.0.2.{octet}])\r\n\tby mx.example.org (maddy) with \
         ESMTPS id {number:08x}\r\n\tfor <{to_low}@example.org>; {date}\r\nFrom: {from} Example <{from_low}@example.net>\r\n\
         To: {to} <{to_low}@example.org>\r\nSubject: {subject}\r\nDate: {date}\r\nMessage-ID: <m{number}@example.net>\r\n",
        octet = dice.roll(250) + 1,
        from_low = from.to_lowercase(),
        to_low = to.to_lowercase(),
        date = date(number),
        subject = subject(number, &mut dice),
    );
    let answered = number.checked_sub(dice.roll(20) + 1);
    if let Some(answered) = answered.filter(|_| number.is_multiple_of(3)) {
        let _ = write!(
            text,
            "In-Reply-To: <m{answered}@example.net>\r\nReferences: <m{answered}@example.net>\r\n"
        );
    }
    text.push_str("MIME-Version: 1.0\r\n");
    if number.is_multiple_of(8) {
        let _ = write!(
            text,
            "Content-Type: multipart/alternative; boundary=\"b{number}\"\r\n\r\n--b{number}\r\n\
             Content-Type: text/plain; charset=utf-8\r\n\r\n"
        );
        prose(&mut text, &mut dice, number, SIZE / 2);
        let _ =
            write!(text, "--b{number}\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<html><body><p>\r\n");
        prose(&mut text, &mut dice, number, SIZE / 2);
        let _ = write!(text, "</p></body></html>\r\n--b{number}--\r\n");
    } else {
        text.push_str("Content-Type: text/plain; charset=utf-8\r\n\r\n");
        let rest = SIZE.saturating_sub(text.len());
        prose(&mut text, &mut dice, number, rest);
    }
    text
}

fn subject(number: usize, dice: &mut Dice) -> String {
    let re = if number.is_multiple_of(3) { "Re: " } else { "" };
    let rare = if number % 100 == 7 { " zebra" } else { "" };
    format!("{re}{} {} {}{rare}", WORDS[dice.roll(32)], WORDS[dice.roll(32)], number % 500)
}

fn prose(text: &mut String, dice: &mut Dice, number: usize, size: usize) {
    let end = text.len() + size;
    if number % 100 == 42 {
        text.push_str("needle ");
    }
    let mut line = 0;
    while text.len() < end {
        let word = WORDS[dice.roll(32)];
        text.push_str(word);
        line += word.len() + 1;
        if line > 66 {
            // What differs from message to message keeps them from being packed away to nothing.
            let _ = write!(text, " {:x}\r\n", dice.roll(1 << 30));
            line = 0;
        } else {
            text.push(' ');
        }
    }
    text.push_str("\r\n");
}

/// The Date field of a message.
pub fn date(number: usize) -> String {
    let stamp = when(number);
    format!(
        "{}, {:02} {} {} {:02}:{:02}:00 +0000",
        stamp.weekday, stamp.day, stamp.month, stamp.year, stamp.hour, stamp.minute
    )
}

/// The internal date of a message, as APPEND wants it.
pub fn internal_date(number: usize) -> String {
    let stamp = when(number);
    format!("{:02}-{}-{} {:02}:{:02}:00 +0000", stamp.day, stamp.month, stamp.year, stamp.hour, stamp.minute)
}

struct Stamp {
    weekday: &'static str,
    day: u64,
    month: &'static str,
    year: u64,
    hour: u64,
    minute: u64,
}

/// When a message was sent: from the days since 1970, by the rules of the Gregorian calendar.
fn when(number: usize) -> Stamp {
    const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [(&str, u64); 12] = [
        ("Jan", 31),
        ("Feb", 28),
        ("Mar", 31),
        ("Apr", 30),
        ("May", 31),
        ("Jun", 30),
        ("Jul", 31),
        ("Aug", 31),
        ("Sep", 30),
        ("Oct", 31),
        ("Nov", 30),
        ("Dec", 31),
    ];
    let seconds = BEGIN + STEP * number as u64;
    let days = seconds / 86_400;
    let weekday = WEEKDAYS[usize::try_from(days % 7).unwrap_or(0)];
    let (mut left, mut year) = (days, 1970);
    let is_leap =
        |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    while left >= 365 + u64::from(is_leap(year)) {
        left -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let mut month = "Jan";
    for (name, length) in MONTHS {
        month = name;
        let length = length + u64::from(name == "Feb" && is_leap(year));
        if left < length {
            break;
        }
        left -= length;
    }
    Stamp { weekday, day: left + 1, month, year, hour: seconds / 3600 % 24, minute: seconds / 60 % 60 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        assert_eq!(date(0), "Mon, 01 Jan 2024 00:00:00 +0000");
        // 29 February 2024, 00:10.
        assert_eq!(internal_date(59 * 144 + 1), "29-Feb-2024 00:10:00 +0000");
        assert_eq!(date(366 * 144), "Wed, 01 Jan 2025 00:00:00 +0000");
    }

    #[test]
    fn messages_are_alike_and_not_the_same() {
        let mails: Vec<String> = (0..800).map(mail).collect();
        assert_eq!(mail(7), mails[7]);
        assert!(mails.iter().all(|mail| (2000..3500).contains(&mail.len())));
        assert!(mails.windows(2).all(|two| two[0] != two[1]));
        assert_eq!(mails.iter().filter(|mail| mail.contains("needle")).count(), 8);
        assert!(mails.iter().all(|mail| !mail.replace("\r\n", "").contains(['\r', '\n'])));
    }
}
