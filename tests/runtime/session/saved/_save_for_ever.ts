import { full } from "../../../../policies/full.ts";
import { loadModel } from "../../../../runtime/model.ts";

// Saves the same cache until it is killed; says so when it has begun.
const [model = "", path = ""] = Deno.args;
await using loaded = await loadModel(model, { precision: "fp32", threads: 1 });
await using session = loaded.session({ policy: full() });
await session.read({ ids: Array.from({ length: 400 }, (_, index) => 2 + index % 300) });
await session.save(path);
console.log("saving");
for (;;) await session.save(path);
