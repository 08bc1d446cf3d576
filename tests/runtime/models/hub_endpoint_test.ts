import { assertEquals } from "@std/assert";
import { hubEndpoint, hubFileUrl, hubHeaders } from "../../../runtime/models/hub_endpoint.ts";

Deno.test("hubEndpoint() honours HF_ENDPOINT", () => {
  assertEquals(hubEndpoint(() => undefined), "https://huggingface.co");
  assertEquals(hubEndpoint(() => "http://mirror:8080/"), "http://mirror:8080");
});

Deno.test("hubFileUrl() escapes each part of a path", () => {
  assertEquals(
    hubFileUrl("http://hub", "a/b", "refs/pr/1", "sub/a b#1.gguf"),
    "http://hub/a/b/resolve/refs%2Fpr%2F1/sub/a%20b%231.gguf",
  );
});

Deno.test("hubHeaders() shows a token only if there is one", () => {
  assertEquals(hubHeaders(() => undefined), {});
  assertEquals(hubHeaders(() => "t"), { Authorization: "Bearer t" });
});
