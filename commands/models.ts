import { table } from "./_table.ts";
import { Command } from "@cliffy/command";
import { homeFolder } from "../runtime/models/home.ts";
import type { ListedModel } from "../runtime/models/list_models.ts";
import type { VerifiedModelFile } from "../runtime/models/verify_model.ts";
import { interruptible } from "./_interrupt.ts";
import { formatBytes, note, write } from "./_output.ts";
import { openProgress } from "./_progress.ts";
import { bareCommand, type Subcommand } from "./_subcommand.ts";

/** `kvjudge models`: lists, fetches, verifies and removes models. */
export function modelsCommand(): Subcommand {
  return bareCommand()
    .name("kvjudge models")
    .description("Lists the models that have a name or were fetched.")
    .option("--json", "Print a JSON array.")
    .example("Any model of the hub", "kvjudge models fetch owner/name@revision:file.gguf")
    .action(({ json = false }) => listModels(json))
    .command(
      "list",
      new Command()
        .description("Lists the models that have a name or were fetched: size, place, use.")
        .option("--json", "Print a JSON array.")
        .action(({ json = false }) => listModels(json)),
    )
    .command(
      "fetch",
      new Command()
        .description("Fetches a model and prints where it lies.")
        .arguments("<model:string>")
        .action((_flags, model) => fetchModel(model)),
    )
    .command(
      "verify",
      new Command()
        .description(
          "Compares fetched models with their checksums; all of them if none is named. Fails if a " +
            "file is damaged.",
        )
        .arguments("[...models:string]")
        .option("--json", "Print a JSON array.")
        .action(({ json = false }, ...models) => verifyModels(models, json)),
    )
    .command(
      "remove",
      new Command()
        .description("Removes a fetched model and the weights that were converted from it.")
        .arguments("<model:string>")
        .option("-y, --yes", "Do not ask.")
        .action(({ yes = false }, model) => remove(model, yes)),
    );
}

async function listModels(json: boolean): Promise<void> {
  const { listModels } = await import("../runtime/models/list_models.ts");
  const models = await listModels(homeFolder());
  write(json ? `${JSON.stringify(models)}\n` : show(models));
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

async function verifyModels(names: readonly string[], json: boolean): Promise<void> {
  const { listModels } = await import("../runtime/models/list_models.ts");
  const { findModel } = await import("../runtime/models/find_model.ts");
  const { verifyModel } = await import("../runtime/models/verify_model.ts");
  const { FetchError } = await import("../runtime/errors.ts");
  const home = homeFolder();
  const chosen = names.length > 0
    ? names
    : (await listModels(home)).filter(({ fetched }) => fetched).map(({ name }) => name);
  await interruptible(async (signal) => {
    using progress = await openProgress();
    const results: (VerifiedModelFile & { readonly model: string })[] = [];
    for (const name of chosen) {
      const model = await findModel(home, name, "verify");
      const files = await verifyModel(model, {
        signal,
        onProgress: (file, done, total) => progress.counting(`verifying ${file}`, done, total),
      });
      results.push(...files.map((file) => ({ model: model.name, ...file })));
    }
    progress.clear();
    if (results.length === 0) note("no model was fetched");
    write(json ? `${JSON.stringify(results)}\n` : results.map(showVerified).join(""));
    const damaged = results.filter(({ outcome }) => outcome === "damaged");
    const [first] = damaged;
    if (!first) return;
    throw new FetchError(
      `Cannot trust ${damaged.length} of ${results.length} files: run kvjudge models remove ` +
        `${first.model}, then kvjudge models fetch ${first.model}`,
    );
  });
}

function showVerified({ name, bytes, outcome, expected, found, model }: {
  readonly model: string;
} & VerifiedModelFile): string {
  const detail = outcome === "damaged"
    ? `: its checksum is ${found}, not ${expected}`
    : outcome === "unknown"
    ? ": no checksum was recorded when it was fetched"
    : "";
  return `${outcome.padEnd(7)}  ${formatBytes(bytes).padStart(9)}  ${model}  ${name}${detail}\n`;
}

async function remove(name: string, yes: boolean): Promise<void> {
  const { findModel } = await import("../runtime/models/find_model.ts");
  const { finishRemovals, removeModel } = await import("../runtime/models/remove_model.ts");
  const { knownFingerprint } = await import("../runtime/checkpoint/known_fingerprint.ts");
  const { FetchError } = await import("../runtime/errors.ts");
  const home = homeFolder();
  const finished = await finishRemovals(home, new AbortController());
  for (const one of finished) write(`removed ${one}: an earlier removal was cut short\n`);
  if (finished.includes(name)) return;
  const model = await findModel(home, name, "remove");
  const { convertedBytes } = await import("../runtime/models/converted.ts");
  const converted = await convertedBytes(home, model.path);
  const size = formatBytes(model.files.reduce((sum, { bytes }) => sum + bytes, converted));
  if (!yes) {
    if (!Deno.stdin.isTerminal()) {
      throw new FetchError(
        `Cannot remove ${model.name} without asking: standard input is no terminal; add --yes`,
      );
    }
    if (!confirm(`Remove ${model.name}, ${size} in ${model.path}?`)) return;
  }
  await interruptible(async (signal) => {
    const fingerprint = await knownFingerprint(model.path, home);
    const known = fingerprint === undefined ? {} : { fingerprint };
    const { files, bytes } = await removeModel(home, model, { signal, ...known });
    write(`removed ${model.name}: ${files} files, ${formatBytes(bytes)}\n`);
  });
}

function show(models: readonly ListedModel[]): string {
  const lines = models.map(({ name, fetched, bytes, converted, path, inUse }) => [
    name,
    (bytes === undefined ? "" : formatBytes(bytes)) +
    (converted === undefined ? "" : ` + ${formatBytes(converted)} converted`),
    fetched ? `${path ?? "fetched"}${inUse ? " (in use)" : ""}` : "not fetched",
  ]);
  const shown = table(lines, { left: [0, 2] }).trimEnd().split("\n");
  return shown.map((line, at) => `${line}\n${about(models[at])}`).join("");
}

/** What is known of a model, below its line. */
function about(model: ListedModel | undefined): string {
  return model === undefined || model.about === "" ? "" : `  ${model.about}\n`;
}
