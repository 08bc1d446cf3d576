import { Command } from "@cliffy/command";
import { homeFolder } from "../runtime/models/home.ts";
import type { ListedModel } from "../runtime/models/list_models.ts";
import { interruptible } from "./_interrupt.ts";
import { formatBytes, write } from "./_output.ts";
import { openProgress } from "./_progress.ts";
import type { Subcommand } from "./_subcommand.ts";

/** `kvjudge models`: lists models, fetches one. */
export function modelsCommand(): Subcommand {
  const colors = Deno.stdout.isTerminal();
  return new Command()
    .name("kvjudge models")
    .description("Lists the models that have a name or were fetched.")
    .noExit()
    .help({ colors })
    .option("--json", "Print a JSON array.")
    .action(async ({ json }) => {
      const { listModels } = await import("../runtime/models/list_models.ts");
      const models = await listModels(homeFolder());
      write(json ? `${JSON.stringify(models)}\n` : show(models));
    })
    .command(
      "fetch",
      new Command()
        .description("Fetches a model and prints where it lies.")
        .arguments("<model:string>")
        .action((_flags, model) => fetchModel(model)),
    );
}

async function fetchModel(model: string): Promise<void> {
  const { resolveModel } = await import("../runtime/models/resolve_model.ts");
  await interruptible(async (signal) => {
    using progress = await openProgress();
    const path = await resolveModel(model, { signal, onProgress: progress.fetching });
    progress.clear();
    write(`${path}\n`);
  });
}

function show(models: readonly ListedModel[]): string {
  const width = Math.max(...models.map(({ name }) => name.length));
  const lines = models.map(({ name, about, fetched, bytes, path }) => {
    const size = bytes === undefined ? "" : formatBytes(bytes);
    const state = fetched ? path ?? "fetched" : "not fetched";
    return `${name.padEnd(width)}  ${size.padStart(9)}  ${state}${
      about === "" ? "" : `\n  ${about}`
    }`;
  });
  return `${lines.join("\n")}\n`;
}
