import { EnumType } from "@cliffy/command";
import { CACHE_PRECISIONS } from "../runtime/cache/narrow_rows.ts";
import { DEVICE_CHOICES } from "../runtime/device/choose_device.ts";
import { parseBudget } from "../runtime/evict/budget.ts";
import { PRECISIONS } from "../runtime/weights/precisions.ts";
import { WEIGHT_COPIES } from "../runtime/weights/weight_copies.ts";
import { note } from "./_output.ts";
import { reportError } from "./_report_error.ts";
import { bareCommand, type Subcommand } from "./_subcommand.ts";
import {
  apiKeysOf,
  bytesOf,
  KEY_VARIABLE,
  originsOf,
  portOf,
  schedulerOptions,
  type ServeFlags,
} from "./serve/settings.ts";
import { listenForStop } from "./serve/signals.ts";

/** `kvjudge serve`: an OpenAI-compatible server. */
export function serveCommand(version: string): Subcommand {
  return bareCommand()
    .name("kvjudge serve")
    .description("Serves models over HTTP, in the forms of OpenAI, llama.cpp and Ollama.")
    .type("precision", new EnumType(PRECISIONS))
    .type("copies", new EnumType(WEIGHT_COPIES))
    .type("device", new EnumType(DEVICE_CHOICES))
    .type("cache-precision", new EnumType(CACHE_PRECISIONS))
    .option(
      "-m, --model <model:string>",
      "Name, folder, .gguf file or owner/name; NAME=… renames.",
      {
        collect: true,
        default: ["smollm2-135m-instruct"],
      },
    )
    .option("-p, --policy <policy:string>", "Evicts where a request says nothing of it.")
    .option("--reload", "Fetch the policy of -p again, if it is a URL; Deno keeps what it fetched.")
    .option("-b, --budget <amount:string>", "What is kept: tokens (256), a ratio (0.1) or bytes.", {
      default: "512",
    })
    .option("--host <address:string>", "Address to listen on.", { default: "127.0.0.1" })
    .option("--port <port:integer>", "Port; 0 for any that is free.", { default: 8080 })
    .option("--api-key <key:string>", `Key that requests must have; safer in ${KEY_VARIABLE}.`, {
      collect: true,
    })
    .option("--api-key-file <file:string>", "File of keys, one a line.")
    .option("--parallel <count:integer>", "Answers that are written at once.", { default: 8 })
    .option("--max-queue <count:integer>", "Requests that may wait.", { default: 64 })
    .option("--timeout <seconds:number>", "Seconds that a request may take.", { default: 600 })
    .option("--cache-memory <bytes:string>", "Memory for KV caches.", { default: "2GiB" })
    .option(
      "--cache-precision <precision:cache-precision>",
      "How caches that rest, and documents on disk, are held.",
      { default: "fp32" as const },
    )
    .option("--cache-folder <folder:string>", "Folder where documents stay.")
    .option("--cache-folder-size <bytes:string>", "Bytes of documents there; the oldest go.", {
      default: "16GiB",
    })
    .option("--store <url:string>", "Shares documents between servers: file:/// or s3://.", {
      depends: ["cache-folder"],
    })
    .option("--model-memory <bytes:string>", "Memory for models; more are unloaded.")
    .option("--max-body <bytes:string>", "Largest request.", { default: "16MiB" })
    .option("--allow-origin <origin:string>", "Origin whose pages may ask; * for all.", {
      collect: true,
    })
    .option("--allow-policy <pattern:string>", "Files and URLs that may be named as policies.", {
      collect: true,
    })
    .option("--threads <count:integer>", "Threads; one per processor if absent.")
    .option("--precision <precision:precision>", "How weights are held.", {
      default: "auto" as const,
    })
    .option("--weight-copies <copies:copies>", "How often weights lie in main memory.", {
      default: "auto" as const,
    })
    .option("--device <device:device>", "Where models run and KV caches live.", {
      default: "cpu" as const,
    })
    .option("--engine", "What a compiled server starts by itself: models for another process.", {
      hidden: true,
    })
    .example("With eviction", "kvjudge serve -m smollm2-135m-instruct -p snapkv -b 512")
    .example("Two models", "kvjudge serve -m small=./small.gguf -m large=./large.gguf")
    .action(async ({ engine, ...flags }) => {
      if (!engine) return await serve(flags, version);
      const { engineMain } = await import("../server/engine/child.ts");
      await engineMain();
    });
}

async function serve(flags: ServeFlags, version: string): Promise<void> {
  const apiKeys = await apiKeysOf(flags);
  const settings = await schedulerOptions(flags);
  const maxBody = bytesOf(flags.maxBody, "--max-body");
  const port = portOf(flags.port);
  const allowOrigins = originsOf(flags.allowOrigin);
  const { createScheduler } = await import("../server/engine/create_scheduler.ts");
  const { isLoopback, startServer } = await import("../server/server.ts");
  using stopping = listenForStop();
  const started = settings.now();
  const scheduler = createScheduler(settings);
  const server = await startServer(scheduler, {
    host: flags.host,
    port,
    eviction: { policy: flags.policy ?? false, budget: parseBudget(flags.budget) },
    allowPolicies: flags.allowPolicy ?? [],
    apiKeys,
    allowOrigins,
    maxBody,
    version,
    log: (error) => note(reportError(error, "kvjudge serve", true).text),
  });
  const { host, port: listening } = server.listening;
  note(`listening on http://${host.includes(":") ? `[${host}]` : host}:${listening}`);
  if (apiKeys.length === 0 && !isLoopback(host)) {
    note(`note: whoever reaches ${host} may ask, as there is no key; give one in ${KEY_VARIABLE}`);
  }
  try {
    const loaded = scheduler.ready.then(() => {
      const names = settings.models.map(({ id }) => id).join(", ");
      note(`ready with ${names} after ${((settings.now() - started) / 1000).toFixed(1)} s`);
    });
    await Promise.race([loaded.then(() => stopping.asked), stopping.asked]);
    note("ending when all is answered; a second signal ends it at once");
  } finally {
    await server.drain();
  }
}
