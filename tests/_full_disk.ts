import { stub } from "./_stub.ts";

/** A disk that is full from its n-th write on. */
export interface FullDisk extends Disposable {
  /** Calls that write, until now. */
  readonly calls: number;
}

/** The error that a full disk gives. */
function noSpace(): Error {
  return Object.assign(new Error("No space left on device (os error 28)"), { code: "ENOSPC" });
}

/** Makes one call that writes fail, all those that open, write, flush and rename in turn; half of what it was to write is there then. */
export function fullDisk(at: number): FullDisk {
  const stack = new DisposableStack();
  let calls = 0;
  const fails = () => calls++ === at;
  const { open, rename, writeTextFile } = Deno;
  const { write, sync } = Deno.FsFile.prototype;
  stack.use(stub(Deno, "open", (path, options) => {
    if (options?.write && fails()) throw noSpace();
    return open(path, options);
  }));
  stack.use(stub(Deno, "rename", (from, to) => {
    if (fails()) throw noSpace();
    return rename(from, to);
  }));
  stack.use(stub(Deno, "writeTextFile", async (path, data, options) => {
    if (!fails()) return await writeTextFile(path, data, options);
    await writeTextFile(path, typeof data === "string" ? data.slice(0, data.length / 2) : "half");
    throw noSpace();
  }));
  stack.use(stub(Deno.FsFile.prototype, "write", async function (this: Deno.FsFile, bytes) {
    if (!fails()) return await write.call(this, bytes);
    await write.call(this, bytes.subarray(0, bytes.length / 2));
    throw noSpace();
  }));
  stack.use(stub(Deno.FsFile.prototype, "sync", async function (this: Deno.FsFile) {
    // That a folder cannot be flushed loses nothing.
    if (!(await this.stat()).isDirectory && fails()) throw noSpace();
    return await sync.call(this);
  }));
  return {
    get calls() {
      return calls;
    },
    [Symbol.dispose]: () => stack.dispose(),
  };
}
