//! NOTIFY (RFC 5465 §8).

use super::{fetch, multisearch};
use crate::command::{Command, Event, EventGroup, Filter, Notify, NotifyStatus, Refusal, Source};
use crate::lex::{Lexed, Lexer};
use crate::parse::Names;

/// Most groups of events of one command.
const GROUPS_MAX: usize = 100;
/// Most mailboxes that all groups name together.
const NAMED_MAX: usize = 1000;
/// Most events of one group.
const EVENTS_MAX: usize = 20;

pub(crate) fn notify(lexer: &mut Lexer<'_>, names: Names) -> Lexed<Command> {
    lexer.space()?;
    if lexer.take_word("NONE") {
        return Ok(Command::Notify(Notify::None));
    }
    if !lexer.take_word("SET") {
        return Err(Refusal::bad("NOTIFY is followed by SET or NONE."));
    }
    lexer.space()?;
    let mut status = NotifyStatus::Left;
    if lexer.take_word("STATUS") {
        status = NotifyStatus::Told;
        lexer.space()?;
    }
    let mut groups = vec![group(lexer, names)?];
    while lexer.take_space() {
        if groups.len() == GROUPS_MAX {
            return Err(Refusal::limit("There are too many groups of events."));
        }
        groups.push(group(lexer, names)?);
    }
    let named = groups.iter().map(|group| match &group.filter {
        Filter::Others(Source::Subtree(names) | Source::Mailboxes(names)) => names.len(),
        _ => 0,
    });
    if named.sum::<usize>() > NAMED_MAX {
        return Err(Refusal::limit("Too many mailboxes are named."));
    }
    let selecting = groups.iter().filter(|group| group.filter.is_selected());
    if selecting.count() > 1 {
        return Err(Refusal::bad("The selected mailbox is named once, as SELECTED or as SELECTED-DELAYED."));
    }
    Ok(Command::Notify(Notify::Set { status, groups }))
}

fn group(lexer: &mut Lexer<'_>, names: Names) -> Lexed<EventGroup> {
    lexer.expect(b'(')?;
    let filter = filter(lexer, names)?;
    lexer.space()?;
    let events = if lexer.take_word("NONE") {
        Vec::new()
    } else {
        let events = lexer.parenthesized(event)?;
        if events.is_empty() || events.len() > EVENTS_MAX {
            return Err(Refusal::bad("From 1 to 20 events can be named, or NONE."));
        }
        events
    };
    lexer.expect(b')')?;
    let group = EventGroup { filter, events };
    check(&group)?;
    Ok(group)
}

fn filter(lexer: &mut Lexer<'_>, names: Names) -> Lexed<Filter> {
    let some = |lexer: &mut Lexer<'_>| {
        lexer.space()?;
        multisearch::mailboxes(lexer, names)
    };
    Ok(match lexer.word()?.as_str() {
        "SELECTED" => Filter::Selected,
        "SELECTED-DELAYED" => Filter::SelectedDelayed,
        "INBOXES" => Filter::Others(Source::Inboxes),
        "PERSONAL" => Filter::Others(Source::Personal),
        "SUBSCRIBED" => Filter::Others(Source::Subscribed),
        "SUBTREE" => Filter::Others(Source::Subtree(some(lexer)?)),
        "MAILBOXES" => Filter::Others(Source::Mailboxes(some(lexer)?)),
        _ => return Err(Refusal::bad("This kind of mailbox to watch is not known here.")),
    })
}

fn event(lexer: &mut Lexer<'_>) -> Lexed<Event> {
    let name = lexer.atom()?;
    Ok(match name.to_ascii_uppercase().as_str() {
        "MESSAGENEW" => {
            let items = if lexer.peek() == Some(b' ') && lexer.peek_second() == Some(b'(') {
                lexer.space()?;
                fetch::items(lexer)?
            } else {
                Vec::new()
            };
            Event::MessageNew(items)
        }
        "MESSAGEEXPUNGE" => Event::MessageExpunge,
        "FLAGCHANGE" => Event::FlagChange,
        "MAILBOXNAME" => Event::MailboxName,
        "SUBSCRIPTIONCHANGE" => Event::SubscriptionChange,
        "MAILBOXMETADATACHANGE" => Event::MailboxMetadataChange,
        "SERVERMETADATACHANGE" => Event::ServerMetadataChange,
        // RFC 5465 §3.1: refused with NO by whoever carries it out.
        "ANNOTATIONCHANGE" => Event::AnnotationChange,
        _ => Event::Unknown,
    })
}

/// What must and may stand together (RFC 5465 §5, §6.1, §8).
fn check(group: &EventGroup) -> Lexed<()> {
    let has = |wanted: fn(&Event) -> bool| group.events.iter().any(wanted);
    let new = has(|event| matches!(event, Event::MessageNew(_)));
    let expunge = has(|event| *event == Event::MessageExpunge);
    let flags = has(|event| matches!(event, Event::FlagChange | Event::AnnotationChange));
    if new != expunge || flags && !new {
        return Err(Refusal::bad(
            "MessageNew and MessageExpunge belong together, and other changes of messages need both.",
        ));
    }
    let is_message = |event: &Event| {
        matches!(
            event,
            Event::MessageNew(_)
                | Event::MessageExpunge
                | Event::FlagChange
                | Event::AnnotationChange
                | Event::Unknown
        )
    };
    if group.filter.is_selected() && !group.events.iter().all(is_message) {
        return Err(Refusal::bad("Of the selected mailbox only events of messages can be told."));
    }
    if !group.filter.is_selected()
        && has(|event| matches!(event, Event::MessageNew(items) if !items.is_empty()))
    {
        return Err(Refusal::bad("Items of new messages are told of the selected mailbox only."));
    }
    Ok(())
}
