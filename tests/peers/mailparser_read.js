// Reads mails with npm mailparser, for the oracle of composed mail.
//
//   NODE_PATH=… node mailparser_read.js
//
// stdin: length (4 bytes, big-endian) and a mail, repeated. stdout: a JSON line for each, as tests/support/gmime_tool.c has it; the
// texts that mailparser shows as the mail's own are the parts text/plain and text/html.
'use strict';
const { simpleParser } = require('mailparser');

const options = { skipHtmlToText: true, skipTextToHtml: true, skipImageLinks: true, keepCidLinks: true, skipTextLinks: true };

function list(field) {
    const value = Array.isArray(field) ? field.flatMap(one => one.value) : field ? field.value : [];
    return value.map(one => [one.name || '', one.group ? 'group' : one.address || '']);
}

function part(type, disposition, name, id, data) {
    return { type, disposition, name: name || '', id: (id || '').replace(/^<|>$/g, ''), data: data.toString('base64') };
}

async function read(mail) {
    const found = await simpleParser(mail, options);
    const parts = [];
    if (found.text !== undefined) {
        parts.push(part('text/plain', '', '', '', Buffer.from(found.text)));
    }
    if (found.html) {
        parts.push(part('text/html', '', '', '', Buffer.from(found.html)));
    }
    for (const one of found.attachments) {
        parts.push(part(one.contentType, one.contentDisposition || '', one.filename, one.contentId, one.content));
    }
    return { subject: found.subject || '', from: list(found.from), sender: list(found.headers.get('sender')), reply_to: list(found.replyTo),
        to: list(found.to), cc: list(found.cc), parts, defects: [] };
}

async function main() {
    let input = Buffer.alloc(0);
    for await (const chunk of process.stdin) {
        input = Buffer.concat([input, chunk]);
        while (input.length >= 4 && input.length >= 4 + input.readUInt32BE(0)) {
            const length = input.readUInt32BE(0);
            const told = await read(input.subarray(4, 4 + length));
            process.stdout.write(JSON.stringify(told) + '\n');
            input = input.subarray(4 + length);
        }
    }
}

main().catch(error => {
    process.stderr.write(`${error.stack}\n`);
    process.exit(1);
});
