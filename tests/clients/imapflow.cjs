// What a web mailer does with imapflow. Arguments: node_modules, port, CA file, user, password.
const [modules, port, ca, user, pass] = process.argv.slice(2);
const assert = require('assert');
const fs = require('fs');
const { ImapFlow } = require(modules + '/imapflow');

async function main() {
    const client = new ImapFlow({
        host: 'localhost',
        port: Number(port),
        secure: true,
        auth: { user, pass },
        tls: { ca: fs.readFileSync(ca) },
        qresync: true,
        logger: false
    });
    client.on('error', error => { throw error; });
    await client.connect();
    const uses = (await client.list()).map(mailbox => mailbox.specialUse).filter(use => use);
    for (const use of ['\\Sent', '\\Trash', '\\Junk', '\\Drafts', '\\Archive']) {
        assert(uses.includes(use), use);
    }
    await client.mailboxCreate('Grüße');
    await client.mailboxSubscribe('Grüße');
    const status = await client.status('INBOX', { messages: true, unseen: true, uidNext: true, highestModseq: true });
    assert.strictEqual(status.messages, 2);
    const lock = await client.getMailboxLock('INBOX');
    try {
        assert.deepStrictEqual(await client.search({ seen: false }), [1, 2]);
        assert.deepStrictEqual(await client.search({ subject: 'two' }, { uid: true }), [2]);
        const seen = [];
        for await (const message of client.fetch('1:*', {
            uid: true, flags: true, envelope: true, bodyStructure: true, internalDate: true, size: true, labels: true,
            threadId: true, headers: ['references', 'subject']
        })) {
            seen.push(message.envelope.subject);
            assert(message.size > 0 && message.bodyStructure.type === 'text/plain' && message.emailId && message.threadId);
        }
        assert.deepStrictEqual(seen, ['one', 'two']);
        const { meta, content } = await client.download('1', undefined, { uid: true });
        const chunks = [];
        for await (const chunk of content) {
            chunks.push(chunk);
        }
        assert(Buffer.concat(chunks).toString().includes('Subject: one'), JSON.stringify(meta));
        await client.messageFlagsAdd('1', ['\\Seen', '$label'], { uid: true });
        const one = await client.fetchOne('1', { flags: true }, { uid: true });
        assert(one.flags.has('\\Seen') && one.flags.has('$label'));
        await client.append('Drafts', 'Subject: draft\r\n\r\nhello\r\n', ['\\Draft', '\\Seen']);
        const copied = await client.messageCopy('1', 'Grüße', { uid: true });
        assert.strictEqual(copied.uidMap.get(1), 1);
        await client.messageMove('2', 'Trash', { uid: true });
        await client.messageDelete('1', { uid: true });
        assert.deepStrictEqual(await client.search({ all: true }), []);
    } finally {
        lock.release();
    }
    await client.logout();
    console.log('all fine');
}

main().catch(error => {
    console.error(error, error.response, error.responseText);
    process.exit(1);
});
