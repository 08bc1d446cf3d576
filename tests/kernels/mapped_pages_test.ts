import { assert, assertEquals, assertRejects } from "@std/assert";
import { mappedPages } from "../../kernels/mapped_pages.ts";
import { createGraph } from "../../kernels/onnx/graph.ts";
import { createKernel, floats, floatsOf } from "../../kernels/session.ts";
import { withFolder } from "../_temp_folder.ts";

/** Bytes of a file's pages that this process holds. */
function held(path: string): number {
  const ranges = Deno.readTextFileSync("/proc/self/smaps").split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m);
  return ranges.filter((range) => range.split("\n")[0]?.endsWith(path))
    .reduce((sum, range) => sum + 1024 * Number(/^Rss:\s+(\d+)/m.exec(range)?.[1] ?? 0), 0);
}

Deno.test({
  name: "mappedPages() gives pages of a file back, which come again when they are read",
  ignore: Deno.build.os !== "linux",
  async fn() {
    await withFolder(async (folder) => {
      const [rows, columns] = [1024, 2048];
      const path = `${Deno.realPathSync(folder)}/w.bin`;
      const data = new Float32Array(rows * columns).map((_, index) => index % 7);
      Deno.writeFileSync(path, new Uint8Array(data.buffer));
      const graph = createGraph("rows");
      const weight = graph.external("float32", [rows, columns], {
        ...{ file: path, offset: 0, length: data.byteLength },
      });
      graph.input("x", "float32", [1]);
      graph.ops("ReduceSum", [graph.op("Mul", [weight, "x"])], 1, { names: ["y"] });
      graph.output("y", "float32", [1, 1]);
      await using kernel = await createKernel(graph.build());
      const sum = async () =>
        floatsOf((await kernel.run({ x: floats(Float32Array.of(1), [1]) })).y);
      const first = await sum();
      const before = held(path);
      assert(before >= data.byteLength, `${before} bytes are held`);
      using others = mappedPages(new Set(["/not/this/one"]));
      others.release();
      assertEquals(held(path), before);
      using pages = mappedPages(new Set([path]));
      using other = mappedPages(new Set([path, "/not/this/one"]));
      // Nothing is dropped while somebody loads the file, also where that fails.
      await assertRejects(() =>
        other.whileLoading(() => {
          pages.release();
          return Promise.reject(new Error("it is broken"));
        })
      );
      assertEquals(held(path), before);
      for (let round = 0; round < 2; round++) {
        pages.release();
        assertEquals(held(path), 0);
        assertEquals(await sum(), first);
        assert(held(path) >= data.byteLength);
      }
    });
  },
});
