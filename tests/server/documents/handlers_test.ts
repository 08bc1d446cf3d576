import { assertEquals } from "@std/assert";
import { eventsOf, testApp } from "../_test_app.ts";

Deno.test("a document is read once, listed, shown and forgotten", async () => {
  const app = testApp(undefined, { eviction: { policy: "snapkv", budget: 64 } });
  const made = await app.post("/v1/documents", { text: "A story.", name: "story.txt" });
  const document = await made.json();
  assertEquals(document, {
    id: "doc-8",
    object: "document",
    created: 1000,
    last_used: 1000,
    name: "story.txt",
    model: "fake",
    form: "chat",
    tokens: 8,
    policy: "snapkv",
    kept: 8,
    bytes_before: 10,
    bytes_after: 5,
    stored: false,
  });
  const list = await (await app.get("/v1/documents")).json();
  assertEquals(list, { object: "list", data: [document] });
  assertEquals(await (await app.get("/v1/documents/doc-8")).json(), document);
  const { tokens } = await (await app.get("/v1/documents/doc-8/tokens")).json();
  assertEquals(tokens, [{ text: "story.txt", kept: 1 }, { text: " left out", kept: 0 }]);
  const posted = await app.post("/v1/documents/doc-8/tokens", {});
  assertEquals([posted.status, posted.headers.get("allow")], [405, "GET"]);
  const removed = await app.get("/v1/documents/doc-8", { method: "DELETE" });
  assertEquals(await removed.json(), { id: "doc-8", object: "document.deleted", deleted: true });
  for (const [method, path] of [["GET", ""], ["DELETE", ""], ["GET", "/tokens"]] as const) {
    const response = await app.get(`/v1/documents/doc-8${path}`, { method });
    const { error } = await response.json();
    assertEquals([response.status, error.code], [404, "document_not_found"]);
  }
});

Deno.test("a stream tells how far a document is read, then gives it", async () => {
  const app = testApp();
  const body = { text: "A story.", stream: true, form: "text", eviction: false };
  const events = await eventsOf(await app.post("/v1/documents", body));
  const [first, second, end] = events as [{ progress?: object }, { id?: string }, string];
  assertEquals([first.progress, second.id, end], [{ done: 1, total: 8 }, "doc-8", "[DONE]"]);
});

Deno.test("a document without text, or with fields that are wrong, is refused", async () => {
  const app = testApp();
  for (const body of [{}, { text: "" }, { text: 1 }, { text: "x", form: "poem" }]) {
    assertEquals((await app.post("/v1/documents", body)).status, 400);
  }
});
