//! Messages as text.

/// A plain message; lines may end with LF here, they are sent with CRLF.
pub fn message(from: &str, to: &str, subject: &str, body: &str) -> String {
    format!(
        "From: <{from}>\r\nTo: <{to}>\r\nSubject: {subject}\r\nDate: Thu, 01 Jan 2026 00:00:00 +0000\r\n\
         Message-ID: <{}@{}>\r\n\r\n{}\r\n",
        subject.replace(|c: char| !c.is_ascii_alphanumeric(), "-"),
        from.rsplit_once('@').map_or("none.test", |(_, domain)| domain),
        body.replace("\r\n", "\n").replace('\n', "\r\n"),
    )
}

/// The body of the first header field of that name, unfolded.
pub fn field(message: &str, name: &str) -> Option<String> {
    let header = message.split("\r\n\r\n").next().unwrap_or_default();
    let unfolded = header.replace("\r\n ", " ").replace("\r\n\t", " ");
    unfolded.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
    })
}
