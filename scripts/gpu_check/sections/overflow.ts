import { largestDifference } from "../../../tests/_close.ts";
import { writeFolder } from "../../../tests/_random_checkpoint.ts";
import { randomIds } from "../../../tests/_test_model.ts";
import { full } from "../../../policies/mod.ts";
import { DeviceError, loadModel } from "../../../mod.ts";
import { greedyToken } from "../../../runtime/sampling/greedy.ts";
import { knownAdapter } from "../adapter_file.ts";
import { openModel } from "../open_model.ts";
import type { Section } from "../section.ts";

/**
 * What the residual is made larger by. Everything that is added to it grows alike and is divided out by
 * the norms, so that logits would be the same for all of them, were floats exact. 16-bit floats end at
 * 65504, their squares at 256.
 */
const SCALES = [1, 30, 300, 3000, 10_000, 20_000, 100_000];

const GROWING = /embed_tokens|o_proj|down_proj/;

/** What 16-bit floats make of a residual that is larger than they hold. */
export const overflow: Section = {
  name: "overflow",
  seconds: 60,
  least: 8,
  async run(options, report) {
    const { fp16 } = await knownAdapter(options);
    for (const scale of SCALES) {
      const folder = await Deno.makeTempDir();
      await writeFolder(folder, { layers: 4, hidden: 64, heads: 4, kvHeads: 2 }, {
        edit(tensors) {
          for (const [name, { data }] of tensors) {
            if (GROWING.test(name)) data.forEach((value, index) => data[index] = value * scale);
          }
        },
      });
      const ids = randomIds(40, 80, 3);
      const session = { policy: full(), budget: 64 };
      await using host = await loadModel(folder, { precision: "fp32", home: folder });
      await using here = host.session(session);
      const { logits: expected } = await here.read({ ids });
      for (const half of fp16 && options.device === "webgpu" ? [false, true] : [false]) {
        await using there = await openModel(options, folder, { half, precision: "fp32" });
        await using other = there.session(session);
        const name = `residual × ${scale}, ${half ? 16 : 32}-bit floats`;
        const { logits } = await other.read({ ids }).catch((error: unknown) => {
          if (!(error instanceof DeviceError)) throw error;
          report(name, { outcome: "refused", reason: error.message }, half);
          return { logits: undefined };
        });
        if (!logits) continue;
        const broken = logits.filter((value) => !Number.isFinite(value)).length;
        const difference = largestDifference(logits, expected);
        const largest = Math.max(...expected.map(Math.abs));
        const near = difference <= 0.05 * largest;
        report(name, {
          "not finite": broken,
          "max difference": difference,
          "largest logit": largest,
          "same token": greedyToken(logits) === greedyToken(expected),
          outcome: near ? "right" : broken > 0 ? "not finite" : "finite, but wrong",
        }, half ? undefined : near);
      }
      await Deno.remove(folder, { recursive: true });
    }
  },
};
