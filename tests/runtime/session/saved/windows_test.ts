import { assert, assertEquals, assertInstanceOf, assertRejects } from "@std/assert";
import { h2o } from "../../../../policies/h2o.ts";
import { knorm } from "../../../../policies/knorm.ts";
import { whileDecoding } from "../../../../policies/while_decoding.ts";
import {
  readSafetensors,
  readTensor,
  type SafetensorsInput,
  writeSafetensors,
} from "../../../../runtime/checkpoint/safetensors.ts";
import { SavedCacheError } from "../../../../runtime/errors.ts";
import { readSavedCacheInfo } from "../../../../runtime/session/saved/file.ts";
import { testFolder } from "../../../commands/_run_cli.ts";
import { randomIds } from "../../../_test_model.ts";
import { openWindowSession, WINDOW_MODELS, windowModel } from "../../../_window_models.ts";
import { whole } from "../_chat.ts";

const IDS = randomIds(280, 320);

interface Edit {
  readonly tensors: Record<string, SafetensorsInput>;
  readonly record: Record<string, unknown>;
}

/** A tensor with fewer rows at its beginning. */
function cut({ shape, data }: SafetensorsInput, rows: number): SafetensorsInput {
  const [length = 0, ...rest] = shape;
  return { shape: [length - rows, ...rest], data: data.slice(data.length / length * rows) };
}

for (const name of WINDOW_MODELS) {
  Deno.test(`a saved cache of ${name} holds its windows and what can be dropped from them, and no more`, async () => {
    using folder = testFolder();
    const path = `${folder.path}/a.cache`;
    await using test = await windowModel(name);
    await using session = openWindowSession(test.model, { policy: knorm(), budget: 16 });
    await session.read({ ids: IDS });
    const { kept, record } = await session.save(path);
    const windows = test.model.config.layerKinds.map(({ window }) => window ?? null);
    assertEquals(record.windows, windows);
    assertEquals(kept.map(([first]) => first), windows.map((one) => one === null ? 16 : one - 1));
    assertEquals(readSavedCacheInfo(path).kept, kept);
    const { tensors } = readSafetensors(path);
    for (const [layer, window] of windows.entries()) {
      const [stored] = tensors.get(`keys.${layer}`)?.shape ?? [];
      assertEquals(stored, window === null ? 16 : window - 1 + 128);
    }
  });

  Deno.test(`a damaged or foreign window of ${name} is refused in a sentence`, async () => {
    using folder = testFolder();
    const path = `${folder.path}/a.cache`;
    await using test = await windowModel(name);
    const { layerKinds, kvHeads, headDim } = test.model.config;
    const slides = layerKinds.findIndex(({ window }) => window !== undefined);
    const window = layerKinds[slides]?.window ?? 0;
    await using session = openWindowSession(test.model, { policy: knorm(), budget: 16 });
    await session.read({ ids: IDS.slice(0, 60) });
    await session.save(path);
    const header = readSafetensors(path);
    const tensors: Record<string, SafetensorsInput> = {};
    for (const name of header.tensors.keys()) tensors[name] = readTensor(path, name, header);
    const record = JSON.parse(header.metadata.record ?? "");
    const others = record.windows.map((one: number | null) => one === null ? null : one + 1);
    const edits: readonly [string, (edit: Edit) => void][] = [
      ["do not slide as those of the model do", ({ record }) => delete record.windows],
      ["do not slide as those of the model do", ({ record }) => record.windows = others],
      [
        "do not slide as those of the model do",
        ({ record }) => record.windows = [null, null, 7, 7, 7],
      ],
      ["its record is broken", ({ record }) => record.windows = [0]],
      ["its record is broken", ({ record }) => record.windows = "32"],
      [`does not hold the window of its layer ${slides}`, ({ tensors }) => {
        for (const kind of ["keys", "values"]) {
          const tensor = tensors[`${kind}.${slides}`];
          if (tensor) tensors[`${kind}.${slides}`] = cut(tensor, 60 - (window - 2));
        }
        tensors[`positions.${slides}`] = {
          shape: [kvHeads, window - 2],
          data: new Int32Array(kvHeads * (window - 2)),
        };
      }],
      [`does not hold the window of its layer ${slides}`, ({ tensors }) => {
        const size = [400, kvHeads, headDim];
        const data = new Float32Array(400 * kvHeads * headDim);
        tensors[`keys.${slides}`] = tensors[`values.${slides}`] = { shape: size, data };
        const positions = new Int32Array(400 * kvHeads);
        tensors[`positions.${slides}`] = { shape: [kvHeads, 400], data: positions };
      }],
      [`the positions of its layer ${slides} are out of order`, ({ tensors }) => {
        const given = tensors[`positions.${slides}`];
        const data = Int32Array.from(Array.from(given?.data ?? [], Number), (at) => at - 1);
        tensors[`positions.${slides}`] = { shape: given?.shape ?? [], data };
      }],
      ["it is damaged", ({ tensors }) => {
        const given = tensors[`keys.${slides}`];
        const data = Float32Array.from(Array.from(given?.data ?? [], Number), (key) => -key);
        tensors[`keys.${slides}`] = { shape: given?.shape ?? [], data };
      }],
    ];
    for (const [message, change] of edits) {
      const edit = { tensors: { ...tensors }, record: { ...record } };
      change(edit);
      const bad = `${folder.path}/bad.cache`;
      await writeSafetensors(bad, edit.tensors, {
        ...header.metadata,
        record: JSON.stringify(edit.record),
      });
      const error = await assertRejects(() => session.load(bad), SavedCacheError, message);
      assertInstanceOf(error, SavedCacheError);
      assert(!error.message.includes("\n"), error.message);
    }
    assertEquals(session.ids, IDS.slice(0, 60));
    await session.load(path);
  });

  Deno.test(`a saved cache of ${name} whose last eviction lies far back goes on as it can`, async () => {
    using folder = testFolder();
    const path = `${folder.path}/a.cache`;
    await using test = await windowModel(name);
    const options = {
      policy: whileDecoding({ inner: h2o(), every: 200 }),
      budget: 40,
      context: 4000,
    };
    await using session = openWindowSession(test.model, options);
    await session.read({ ids: IDS.slice(0, 90) });
    await whole(session.generate({ maxTokens: 180 }));
    await session.save(path);
    await using loaded = openWindowSession(test.model, options);
    await loaded.load(path);
    const answer = await whole(loaded.generate({ maxTokens: 300 }));
    assertEquals(answer.ids.length, 300);
    // It holds as much, whatever it judged by: the window of the last eviction was not saved.
    await whole(session.generate({ maxTokens: 300 }));
    assertEquals(loaded.stats().held, session.stats().held);
  });
}
