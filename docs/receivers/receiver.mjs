// A receiver of Offboard's events in Node, without anything installed: verify, remember, answer, then work.
//
//     SECRET=whsec_… PORT=9002 node receiver.mjs

import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";

// After a rotation two secrets are good for a day: SECRET=new,old
const keys = process.env.SECRET.split(",").map((secret) => Buffer.from(secret.replace(/^whsec_/, ""), "base64"));
const TOLERANCE = 5 * 60;
const MOST_BYTES = 64 * 1024;
const seen = new Set(); // in a real receiver: a table with a unique column

// Whether this was signed with one of our secrets, and just now. `body`: the bytes as they came, never parsed.
function isGenuine(headers, body) {
  const timestamp = headers["webhook-timestamp"] ?? "";
  if (!/^\d+$/.test(timestamp) || Math.abs(Date.now() / 1000 - Number(timestamp)) > TOLERANCE) return false;
  const signed = Buffer.concat([Buffer.from(`${headers["webhook-id"]}.${timestamp}.`), body]);
  const expected = keys.map((key) => createHmac("sha256", key).update(signed).digest());
  return (headers["webhook-signature"] ?? "")
    .split(" ")
    .filter((part) => part.startsWith("v1,"))
    .map((part) => Buffer.from(part.slice(3), "base64"))
    .some((given) => expected.some((one) => given.length === one.length && timingSafeEqual(given, one)));
}

const server = createServer(async (request, response) => {
  const pieces = [];
  let length = 0;
  for await (const piece of request) {
    length += piece.length;
    if (length > MOST_BYTES) return response.writeHead(413).end();
    pieces.push(piece);
  }
  const body = Buffer.concat(pieces);
  if (!isGenuine(request.headers, body)) return response.writeHead(401).end();
  const message = request.headers["webhook-id"];
  if (seen.has(message)) {
    console.log("again", message);
    return response.writeHead(204).end();
  }
  const event = JSON.parse(body);
  // Here: put it into your own queue, in the transaction that remembers its id. Answer within 15 seconds.
  seen.add(message);
  console.log(event.type, event.data.sequence);
  response.writeHead(204).end();
});

server.listen(Number(process.env.PORT ?? 9002), "127.0.0.1", () => console.error("listening on", server.address().port));
