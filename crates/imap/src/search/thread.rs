//! THREAD: messages that belong together, by their subjects or by what they say they answer (RFC 5256 §3).
//!
//! Trees lie flat in one list and nothing here recurses, since a thread may be as deep as a mailbox is large.

use super::subject::Kind;
use imap_proto::response::ThreadMark;
use std::collections::HashMap;

/// What threading needs to know of a message. Texts are numbers: the same text is the same number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Threaded<'a> {
    /// What the client is told.
    pub(crate) name: u32,
    /// Sent date in seconds.
    pub(crate) sent: i64,
    /// Internal date in seconds.
    pub(crate) received: i64,
    /// Base subject, folded; `None` if it is empty.
    pub(crate) subject: Option<u32>,
    pub(crate) kind: Kind,
    pub(crate) id: Option<u32>,
    /// Oldest first.
    pub(crate) references: &'a [u32],
}

/// ORDEREDSUBJECT. `messages` are in the order of the mailbox.
pub(crate) fn by_subject(messages: &[Threaded<'_>]) -> Vec<ThreadMark> {
    let mut threads: HashMap<Option<u32>, Vec<usize>> = HashMap::new();
    for (at, message) in messages.iter().enumerate() {
        threads.entry(message.subject).or_default().push(at);
    }
    let order = |at: &usize| (messages[*at].sent, *at);
    let mut threads: Vec<Vec<usize>> = threads.into_values().collect();
    threads.iter_mut().for_each(|thread| thread.sort_unstable_by_key(order));
    threads.sort_unstable_by_key(|thread| thread.first().map(order));
    let mut forest = Forest { messages, nodes: Vec::new(), adoptions: 0 };
    let mut roots = Vec::new();
    for thread in threads {
        let nodes: Vec<usize> = thread.into_iter().map(|at| forest.add(Some(at))).collect();
        let Some((first, others)) = nodes.split_first() else { continue };
        forest.nodes[*first].children = others.to_vec();
        roots.push(*first);
    }
    forest.write(&roots)
}

/// REFERENCES. `messages` are in the order of the mailbox.
pub(crate) fn by_references(messages: &[Threaded<'_>]) -> Vec<ThreadMark> {
    let mut forest = Forest { messages, nodes: Vec::new(), adoptions: 0 };
    forest.link();
    let mut roots: Vec<usize> =
        (0..forest.nodes.len()).filter(|node| forest.nodes[*node].parent.is_none()).collect();
    forest.prune(&mut roots);
    forest.sort(&mut roots);
    forest.join(&mut roots);
    forest.sort_below(&roots);
    forest.sort(&mut roots);
    forest.write(&roots)
}

/// REFS (draft-ietf-morg-inthread §4): no look at subjects, and the thread to which the last message came stands last.
pub(crate) fn by_arrival(messages: &[Threaded<'_>]) -> Vec<ThreadMark> {
    let mut forest = Forest { messages, nodes: Vec::new(), adoptions: 0 };
    forest.link();
    let mut roots: Vec<usize> =
        (0..forest.nodes.len()).filter(|node| forest.nodes[*node].parent.is_none()).collect();
    forest.prune(&mut roots);
    forest.sort_below(&roots);
    roots.sort_by_cached_key(|root| forest.last_arrival(*root));
    forest.write(&roots)
}

#[derive(Default)]
struct Node {
    /// Place of the message; `None` is a dummy for one that is only referred to.
    message: Option<usize>,
    parent: Option<usize>,
    /// In their order, once all are known.
    children: Vec<usize>,
    /// How many there are before that.
    below: usize,
    /// When it came to its parent: a number that grows.
    adopted: usize,
}

struct Forest<'a> {
    messages: &'a [Threaded<'a>],
    nodes: Vec<Node>,
    adoptions: usize,
}

impl Forest<'_> {
    fn add(&mut self, message: Option<usize>) -> usize {
        self.nodes.push(Node { message, ..Node::default() });
        self.nodes.len() - 1
    }

    /// Step 1: who answers whom.
    fn link(&mut self) {
        let mut known: HashMap<u32, usize> = HashMap::with_capacity(self.messages.len());
        for (at, message) in self.messages.iter().enumerate() {
            let mut last = None;
            for id in message.references {
                let node = *known.entry(*id).or_insert_with(|| {
                    self.nodes.push(Node::default());
                    self.nodes.len() - 1
                });
                if let Some(parent) = last
                    && self.nodes[node].parent.is_none()
                {
                    self.adopt(parent, node);
                }
                last = Some(node);
            }
            let node = match message.id {
                None => self.add(Some(at)),
                Some(id) => match known.get(&id) {
                    // Who comes first has the identifier; others that have it too are known to nobody.
                    Some(node) if self.nodes[*node].message.is_some() => self.add(Some(at)),
                    Some(node) => {
                        self.nodes[*node].message = Some(at);
                        *node
                    }
                    None => {
                        let node = self.add(Some(at));
                        known.insert(id, node);
                        node
                    }
                },
            };
            self.orphan(node);
            if let Some(parent) = last {
                self.adopt(parent, node);
            }
        }
        self.gather();
    }

    /// Writes down who has which children: only now, so that nobody is looked for among thousands of siblings.
    fn gather(&mut self) {
        let mut adopted: Vec<usize> =
            (0..self.nodes.len()).filter(|node| self.nodes[*node].parent.is_some()).collect();
        adopted.sort_unstable_by_key(|node| self.nodes[*node].adopted);
        for node in adopted {
            if let Some(parent) = self.nodes[node].parent {
                self.nodes[parent].children.push(node);
            }
        }
    }

    /// Makes `child`, which has no parent, a child of `parent`, unless that stands below it.
    fn adopt(&mut self, parent: usize, child: usize) {
        let mut above = Some(parent);
        while let Some(node) = above {
            if node == child {
                return;
            }
            // Nothing stands below what has no children.
            above = self.nodes[node].parent.filter(|_| self.nodes[child].below > 0);
        }
        self.adoptions += 1;
        self.nodes[child].parent = Some(parent);
        self.nodes[child].adopted = self.adoptions;
        self.nodes[parent].below += 1;
    }

    fn orphan(&mut self, node: usize) {
        if let Some(parent) = self.nodes[node].parent.take() {
            self.nodes[parent].below -= 1;
        }
    }

    /// All nodes below `roots` and these, parents before their children.
    fn top_down(&self, roots: &[usize]) -> Vec<usize> {
        let mut order = roots.to_vec();
        let mut at = 0;
        while at < order.len() {
            let node = order[at];
            order.extend_from_slice(&self.nodes[node].children);
            at += 1;
        }
        order
    }

    /// Step 3: dummies go; a root only if it has one child or none.
    fn prune(&mut self, roots: &mut Vec<usize>) {
        for node in self.top_down(roots).into_iter().rev() {
            let children = std::mem::take(&mut self.nodes[node].children);
            let mut kept = Vec::with_capacity(children.len());
            for child in children {
                match self.nodes[child].message {
                    Some(_) => kept.push(child),
                    None => kept.append(&mut self.nodes[child].children),
                }
            }
            self.nodes[node].children = kept;
        }
        let mut kept = Vec::with_capacity(roots.len());
        for root in roots.drain(..) {
            match (self.nodes[root].message, self.nodes[root].children.as_slice()) {
                (None, []) => {}
                (None, [only]) => {
                    let only = *only;
                    self.nodes[only].parent = None;
                    kept.push(only);
                }
                _ => kept.push(root),
            }
        }
        *roots = kept;
    }

    /// The message of a node, or of the first child of a dummy.
    fn speaker(&self, node: usize) -> Option<usize> {
        let node = &self.nodes[node];
        node.message.or_else(|| node.children.first().and_then(|child| self.nodes[*child].message))
    }

    /// By sent date, then as in the mailbox. Children of dummies are sorted first, since the first stands for them.
    fn sort(&mut self, siblings: &mut [usize]) {
        for node in siblings.iter() {
            if self.nodes[*node].message.is_none() {
                self.sort_children(*node);
            }
        }
        siblings.sort_by_key(|node| self.date(*node));
    }

    fn date(&self, node: usize) -> Option<(i64, usize)> {
        self.speaker(node).map(|at| (self.messages[at].sent, at))
    }

    /// When the last message of a thread came, and its place in the mailbox.
    fn last_arrival(&self, root: usize) -> Option<(i64, usize)> {
        let members = self.top_down(&[root]).into_iter().filter_map(|node| self.nodes[node].message);
        members.map(|at| (self.messages[at].received, at)).max()
    }

    fn sort_children(&mut self, node: usize) {
        let mut children = std::mem::take(&mut self.nodes[node].children);
        children.sort_by_key(|child| self.date(*child));
        self.nodes[node].children = children;
    }

    /// Step 6 without the roots: the deepest first.
    fn sort_below(&mut self, roots: &[usize]) {
        for node in self.top_down(roots).into_iter().rev() {
            self.sort_children(node);
        }
    }

    fn is_dummy(&self, node: usize) -> bool {
        self.nodes[node].message.is_none()
    }

    fn is_reply(&self, node: usize) -> bool {
        self.nodes[node].message.is_some_and(|at| self.messages[at].kind == Kind::ReplyOrForward)
    }

    /// The base subject of a thread; `None` if it is empty.
    fn subject(&self, root: usize) -> Option<u32> {
        self.speaker(root).and_then(|at| self.messages[at].subject)
    }

    /// Step 5: threads of the same subject become one.
    fn join(&mut self, roots: &mut Vec<usize>) {
        let mut table: HashMap<u32, usize> = HashMap::new();
        for root in roots.iter().copied() {
            let Some(subject) = self.subject(root) else { continue };
            let held = *table.entry(subject).or_insert(root);
            let better = self.is_dummy(root) || (self.is_reply(held) && !self.is_reply(root));
            if !self.is_dummy(held) && better {
                table.insert(subject, root);
            }
        }
        // The subject of a thread is that of its first member as it was before the joining.
        let subjects: Vec<_> = roots.iter().map(|root| self.subject(*root)).collect();
        let mut added = Vec::new();
        for (root, subject) in roots.iter().copied().zip(subjects) {
            let Some(subject) = subject else { continue };
            let Some(held) = table.get(&subject).copied().filter(|held| *held != root) else { continue };
            if self.nodes[root].parent.is_some() {
                // It went below a dummy with another.
                continue;
            }
            if self.is_dummy(held) {
                if self.is_dummy(root) {
                    for child in std::mem::take(&mut self.nodes[root].children) {
                        self.place(child, held);
                    }
                } else {
                    self.place(root, held);
                }
            } else if self.is_reply(root) && !self.is_reply(held) {
                self.place(root, held);
            } else {
                let dummy = self.add(None);
                // The one that came first stays before the other.
                self.place(held, dummy);
                self.place(root, dummy);
                table.insert(subject, dummy);
                added.push(dummy);
            }
        }
        roots.extend(added);
        let gone =
            |node: &Node| node.parent.is_some() || (node.message.is_none() && node.children.is_empty());
        roots.retain(|root| !gone(&self.nodes[*root]));
    }

    /// Puts a root, or the child of one that goes, below another.
    fn place(&mut self, node: usize, parent: usize) {
        self.nodes[node].parent = Some(parent);
        self.nodes[parent].children.push(node);
    }

    fn write(&self, roots: &[usize]) -> Vec<ThreadMark> {
        enum Next {
            Node(usize),
            Close,
        }
        let mut out = Vec::new();
        let mut stack: Vec<Next> = roots.iter().rev().map(|root| Next::Node(*root)).collect();
        while let Some(next) = stack.pop() {
            let Next::Node(mut node) = next else {
                out.push(ThreadMark::Close);
                continue;
            };
            out.push(ThreadMark::Open);
            loop {
                let Node { message, children, .. } = &self.nodes[node];
                out.extend(message.map(|at| ThreadMark::Message(self.messages[at].name)));
                let [only] = children.as_slice() else { break };
                node = *only;
            }
            stack.push(Next::Close);
            stack.extend(self.nodes[node].children.iter().rev().map(|child| Next::Node(*child)));
        }
        out
    }
}

#[cfg(test)]
mod tests;
