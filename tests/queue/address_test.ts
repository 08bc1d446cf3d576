import { assertEquals, assertThrows } from "@std/assert";
import { queueAddress } from "../../queue/address.ts";
import { QueueError } from "../../queue/errors.ts";

Deno.test("addresses give host, port, user, database and encryption", () => {
  assertEquals(queueAddress("redis://queue.example").server, { host: "queue.example", port: 6379 });
  const { server, shown } = queueAddress("rediss://ada@[::1]:6380/3", {
    password: "secret",
    authority: "PEM",
  });
  assertEquals(shown, "rediss://ada@[::1]:6380/3");
  assertEquals(server, {
    host: "::1",
    port: 6380,
    username: "ada",
    password: "secret",
    db: 3,
    tls: { ca: "PEM" },
  });
  assertEquals(queueAddress("rediss://queue.example").server.tls, { servername: "queue.example" });
});

Deno.test("an address that is none is refused with the form that it must have", () => {
  const refused = (text: string, said: string) =>
    assertThrows(() => queueAddress(text), QueueError, said);
  refused("localhost", "it is no URL; give redis://HOST:PORT");
  refused("http://localhost:6379", "it begins with http://");
  refused("redis:///1", "it names no host");
  refused("redis://localhost/queue", "its database must be a number, got 'queue'");
});

Deno.test("a password in an address is refused and never shown", () => {
  const error = assertThrows(() => queueAddress("redis://:hunter2@localhost"), QueueError);
  assertEquals(error.message.includes("hunter2"), false);
  assertEquals(error.message.includes("KVJUDGE_QUEUE_PASSWORD"), true);
  const broken = assertThrows(() => queueAddress("redis//:hunter2@localhost"), QueueError);
  assertEquals(broken.message.includes("hunter2"), false);
});
