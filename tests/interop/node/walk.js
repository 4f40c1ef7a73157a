// imapflow through a whole account; what it saw goes to stdout as JSON. Arguments: PORT implicit|starttls USER PASSWORD MARK
'use strict';
const { ImapFlow } = require('imapflow');

const [port, tls, user, pass, mark] = process.argv.slice(2);
const text = n => `From: Alice <alice@example.test>\r\nTo: bob@example.test\r\nSubject: ${mark}-${n}\r\n` +
    `Message-ID: <${mark}-${n}@example.test>\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nGr\u00fc\u00dfe ${n}\r\n`;
const client = new ImapFlow({
    host: 'localhost', port: Number(port), secure: tls === 'implicit', doSTARTTLS: tls === 'starttls' ? true : undefined,
    auth: { user, pass }, logger: process.env.LOUD ? undefined : false, maxIdleTime: 60000, qresync: true,
});
const saw = {};

async function wakesUp(change) {
    const news = new Promise((resolve, reject) => {
        client.once('exists', resolve);
        setTimeout(() => reject(new Error('no news in IDLE')), 15000).unref();
    });
    const idle = client.idle();
    await new Promise(resolve => setTimeout(resolve, 300));
    await change();
    const { count, prevCount } = await news;
    await client.noop();
    await idle;
    return [prevCount, count];
}

async function walk() {
    await client.connect();
    saw.secure = client.secureConnection;
    saw.enabled = [...client.enabled];
    saw.created = (await client.mailboxCreate(['Walk', 'd\u00e4r'])).path;
    saw.folders = (await client.list({ statusQuery: { messages: true } })).map(f => [f.path, f.specialUse || null, f.subscribed]);
    saw.appended = [];
    for (let n = 0; n < 3; n++) saw.appended.push((await client.append('INBOX', text(n), n === 1 ? ['\\Flagged'] : [], new Date(1795000000000))).uid);
    const lock = await client.getMailboxLock('INBOX');
    try {
        saw.exists = client.mailbox.exists;
        saw.woken = await wakesUp(async () => {
            const other = new ImapFlow({ host: 'localhost', port: Number(port), secure: tls === 'implicit', auth: { user, pass }, logger: false });
            await other.connect();
            await other.append('INBOX', text(3));
            await other.logout();
        });
        saw.fetched = [];
        for await (const m of client.fetch('1:*', { uid: true, flags: true, envelope: true, bodyStructure: true, size: true, internalDate: true, threadId: true, source: true }))
            saw.fetched.push([m.uid, m.envelope.subject, m.bodyStructure.type, m.size === m.source.length, m.source.toString() === text(m.seq - 1), m.emailId !== undefined]);
        saw.searched = await client.search({ or: [{ subject: `${mark}-2` }, { flagged: true }] }, { uid: true });
        const { content } = await client.download('2', '1');
        saw.downloaded = await new Promise(done => { let all = ''; content.on('data', d => { all += d; }).on('end', () => done(all)); });
        saw.seen = await client.messageFlagsAdd('1', ['\\Seen', 'Work']);
        saw.copied = [...(await client.messageCopy('1:2', 'Archive')).uidMap];
        saw.moved = [...(await client.messageMove('3', 'Walk/d\u00e4r')).uidMap];
        saw.deleted = await client.messageDelete('1');
        saw.left = await client.search({ all: true }, { uid: true });
    } finally {
        lock.release();
    }
    saw.status = await client.status('Archive', { messages: true, unseen: true, uidNext: true, highestModseq: true });
    saw.nowhere = await client.status('Nowhere', { messages: true }).then(() => 'found', () => 'none');
    saw.quota = (await client.getQuota('INBOX')) !== false;
    saw.renamed = (await client.mailboxRename('Walk/d\u00e4r', 'Walk/there')).newPath;
    await client.mailboxDelete('Walk/there');
    await client.logout();
}

walk().then(() => console.log(JSON.stringify(saw, (_, v) => (typeof v === 'bigint' ? Number(v) : v))), err => { console.error(err, saw); process.exit(1); });
