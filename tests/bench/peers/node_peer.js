// What a user of Node.js would build: BullMQ with a nodemailer pool, and the pool alone. Roles, as the first word:
//   worker REDIS-PORT SMTP-PORT CONNECTIONS      takes jobs and sends them, until SIGTERM
//   publish REDIS-PORT N                         adds N jobs, and says when it began
//   pool SMTP-PORT CONNECTIONS WARM N            no queue: WARM mails first, then N against the clock
// Printed for words_of() of bench_meter.py; times are of the machine's monotonic clock.
"use strict";

const LINES = 57; // 57 lines of 71 characters and their end: 4,104 bytes of text, as the other sides
const TEXT = ("x".repeat(71) + "\n").repeat(LINES);
const CHUNK = 100;     // jobs of one addBulk: one round trip and one sync of the disk
const UNDER_WAY = 1000;

function now_s() {
    return Number(process.hrtime.bigint()) / 1e9;
}

// Without TCP_NODELAY the last dot waits for the server's delayed acknowledgement: 40 ms a mail.
function socket_of(options, done) {
    const socket = require("net").connect({ host: options.host, port: options.port, noDelay: true });
    socket.once("error", done);
    socket.once("connect", () => {
        socket.removeListener("error", done);
        done(null, { connection: socket });
    });
}

function transport(port, connections) {
    return require("nodemailer").createTransport({
        host: "127.0.0.1", port: Number(port), secure: false, ignoreTLS: true, pool: true,
        maxConnections: Number(connections), maxMessages: Infinity, disableFileAccess: true, disableUrlAccess: true,
        getSocket: socket_of,
    });
}

function mail(number) {
    return { from: "bench@example.org", to: "sink@example.org", subject: `bench ${number}`, text: TEXT };
}

function worker(redis, smtp, connections) {
    const { Worker } = require("bullmq");
    const pool = transport(smtp, connections);
    const running = new Worker("mail", (job) => pool.sendMail(job.data), {
        connection: { host: "127.0.0.1", port: Number(redis) }, concurrency: 2 * Number(connections),
        removeOnComplete: { count: 0 },
    });
    running.on("failed", (job, error) => console.error(`failed: ${error}`));
    process.on("SIGTERM", async () => {
        await running.close();
        pool.close();
        process.exit(0);
    });
}

async function publish(redis, count) {
    const { Queue } = require("bullmq");
    const queue = new Queue("mail", { connection: { host: "127.0.0.1", port: Number(redis) } });
    await queue.waitUntilReady();
    const began = now_s();
    for (let number = 0; number < count; number += CHUNK) {
        const jobs = [];
        for (let i = number; i < Math.min(count, number + CHUNK); i++) {
            jobs.push({ name: "mail", data: mail(i) });
        }
        await queue.addBulk(jobs);
    }
    console.log(`messages=${count} began_s=${began} ended_s=${now_s()}`);
    await queue.close();
}

async function send_all(pool, count) {
    let next = 0;
    async function one_by_one() {
        while (next < count) {
            await pool.sendMail(mail(next++));
        }
    }
    await Promise.all(Array.from({ length: UNDER_WAY }, one_by_one));
}

async function pool_alone(smtp, connections, warm, count) {
    const pool = transport(smtp, connections);
    await send_all(pool, Number(warm));
    const began = now_s();
    await send_all(pool, Number(count));
    const ended = now_s();
    console.log(`messages=${count} rate=${count / (ended - began)} began_s=${began} ended_s=${ended}`);
    pool.close();
}

const roles = { worker, publish, pool: pool_alone };
const [role, ...words] = process.argv.slice(2);
Promise.resolve(roles[role](...words)).catch((error) => {
    console.error(error);
    process.exit(1);
});
