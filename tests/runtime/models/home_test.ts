import { assertEquals } from "@std/assert";
import { resolve } from "node:path";
import { homeFolder } from "../../../runtime/models/home.ts";

const home = (variables: Record<string, string>, platform = "linux") =>
  homeFolder((name) => variables[name], { platform, user: "/home/ada" });

Deno.test("homeFolder() prefers KVJUDGE_HOME and makes it absolute", () => {
  assertEquals(home({ KVJUDGE_HOME: "/data/kv", XDG_CACHE_HOME: "/c" }), "/data/kv");
  assertEquals(home({ KVJUDGE_HOME: "kv" }), resolve("kv"));
});

Deno.test("homeFolder() uses the cache folder of each system", () => {
  assertEquals(home({}), "/home/ada/.cache/kvjudge");
  assertEquals(home({ XDG_CACHE_HOME: "/c" }), "/c/kvjudge");
  assertEquals(home({}, "darwin"), "/home/ada/Library/Caches/kvjudge");
  assertEquals(home({ LOCALAPPDATA: "/local" }, "win32"), "/local/kvjudge");
  assertEquals(home({}, "win32"), "/home/ada/AppData/Local/kvjudge");
});

Deno.test("homeFolder() takes an empty variable for an unset one", () => {
  assertEquals(home({ KVJUDGE_HOME: "", XDG_CACHE_HOME: "" }), "/home/ada/.cache/kvjudge");
});
