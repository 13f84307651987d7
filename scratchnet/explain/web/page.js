"use strict";
// A value is named by a reference: what it is, and its place. explain(ref) computes it from the numbers beside it, term
// by term; everything below that only draws.
//
//   {what: "value" | "gradient", mode, value, twin, channel, row, column}   a pixel of a map, or of its gradient
//   {what: "weight" | "dweight", mode, layer, out, in, row, column}         an entry of a kernel
//   {what: "bias" | "dbias", mode, layer, channel}
//   {what: "scale" | "dscale" | "shift" | "dshift", mode, layer, channel}   weight and bias of a batch norm
//   {what: "alpha" | "dalpha" | "part", mode, channel}                      of the head; a part is alpha |h1 - h2|
//   {what: "logit" | "dlogit" | "loss" | "headBias" | "dheadBias", mode}
//
// Channels are numbered as shown: 0 to 7. mode: "compare", "batch" or "alone".

const facts = JSON.parse(document.getElementById("facts").textContent);
const layers = facts.layers;
const headInput = layers.length;  // the value that goes into the head
const twinNames = ["first", "second"];
let numbers;  // all arrays, one after the other
let backwardMode = "batch";  // of which step the gradients are shown

async function unpack() {
  const text = document.getElementById("arrays").textContent.trim();
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  numbers = new Float32Array(await new Response(stream).arrayBuffer());
}

// ---- The arrays ----

function shape(name) {
  return facts.layout[name][1];
}

function at(name, ...index) {
  const [start, sizes] = facts.layout[name];
  let place = 0;
  for (let axis = 0; axis < sizes.length; axis++) {
    if (!(index[axis] >= 0 && index[axis] < sizes[axis])) return 0;  // the padding
    place = place * sizes[axis] + index[axis];
  }
  return numbers[start + place];
}

function number(ref) {
  const { what, mode, layer, channel } = ref;
  const place = [ref.twin, channel, ref.row, ref.column];
  const entry = [ref.out, ref.in, ref.row, ref.column];
  switch (what) {
    case "value": return at(`${mode}/v${ref.value}`, ...place);
    case "gradient": return at(`${mode}/g${ref.value}`, ...place);
    case "weight": return at(`w${layer}`, ...entry);
    case "dweight": return at(`${mode}/dw${layer}`, ...entry);
    case "bias": return at(`b${layer}`, channel);
    case "dbias": return at(`${mode}/db${layer}`, channel);
    case "scale": return at(`${mode}/norm${layer}`, 2, channel);
    case "shift": return at(`${mode}/norm${layer}`, 3, channel);
    case "dscale": return at(`${mode}/dnorm${layer}`, 1, channel);
    case "dshift": return at(`${mode}/dnorm${layer}`, 0, channel);
    case "alpha": return at("alpha", channel);
    case "dalpha": return at(`${mode}/dalpha`, channel);
    case "part": return at("alpha", channel) * distance(mode, channel);
    case "logit": return facts.modes[mode].logit;
    case "dlogit": return facts.modes[mode].dlogit;
    case "loss": return facts.modes[mode].loss;
    case "headBias": return facts.modes[mode].headBias;
    case "dheadBias": return facts.modes[mode].dheadBias;
  }
  throw new Error(`no number is called ${what}`);
}

function embedding(mode, twin, channel) {
  return at(`${mode}/v${headInput}`, twin, channel, 0, 0);
}

function distance(mode, channel) {
  return Math.abs(embedding(mode, 0, channel) - embedding(mode, 1, channel));
}

function channelName(value, channel) {
  const [, , rows, columns] = shape(`compare/v${value}`);
  return `${rows * columns === 1 ? "feature" : "channel"} ${facts.channels[value][channel]}`;
}

function countOf(value) {  // the channels that a value has, shown or not
  return value === 0 ? facts.channels[0].length : layers[value - 1].channels;
}

function otherChannels(value) {
  return countOf(value) - facts.channels[value].length;
}

function otherImages(mode) {
  return 2 * facts.modes[mode].pairs - 2;
}

function plural(count, thing) {
  return `${count.toLocaleString("en")} ${thing}${count === 1 ? "" : "s"}`;
}

// ---- Where a number comes from ----
// An explanation has: proof, a key of facts.proofs; terms, which add up to the number, or factors, whose product it is.
// A term has a label and a value; perhaps the reference of what it comes from, and grids, the numbers that it sums.
// links lead on to other numbers; marks are frames around what was looked at.

function explain(ref) {
  const why = { links: onward(ref), ...reasons(ref) };
  const value = number(ref);
  const sum = why.terms ? why.terms.reduce((total, term) => total + term.value, 0)
    : why.factors ? why.factors.reduce((product, factor) => product * factor.value, 1) : value;
  return { ...why, value, sum, gap: sum - value };
}

function reasons(ref) {
  switch (ref.what) {
    case "value": return ref.value === 0 ? picture(ref) : forward[layers[ref.value - 1].kind](ref, ref.value - 1);
    case "gradient": return ref.value === headInput ? fromHead(ref) : backward[layers[ref.value].kind](ref, ref.value);
    case "dweight": return kernelGradient(ref);
    case "dbias": return overPixels(ref, layers[ref.layer].kind === "dense" ? "dense.dbias" : "conv.dbias",
      `${ref.mode}/db${ref.layer}/others`, [ref.channel], () => 1);
    case "dshift": return overPixels(ref, "norm.dbias", `${ref.mode}/dnorm${ref.layer}/others`, [0, ref.channel], () => 1);
    case "dscale": return overPixels(ref, "norm.dweight", `${ref.mode}/dnorm${ref.layer}/others`, [1, ref.channel],
      (twin, row, column) => normalised(ref.mode, ref.layer, twin, ref.channel, row, column));
    case "dalpha": return alphaGradient(ref);
    case "part": return {
      proof: "head.logit",
      factors: [
        { label: "alpha, the head's weight", value: number({ ...ref, what: "alpha" }), ref: { ...ref, what: "alpha" } },
        { label: "|h1 - h2|", value: distance(ref.mode, ref.channel) },
      ],
    };
    case "logit": return logit(ref);
    case "loss": return loss(ref);
    case "dlogit": return logitGradient(ref);
    case "dheadBias": return headBiasGradient(ref);
    default: return { note: "A parameter: set by training, which moves it against its gradient.", ...parameterGradient(ref) };
  }
}

function parameterGradient(ref) {
  if (ref.mode === "compare") return {};
  return { links: [{ label: "its gradient", ref: { ...ref, what: `d${ref.what}` } }] };
}

// Where a gradient goes next, on its way to the picture.
function onward(ref) {
  if (ref.what !== "gradient" || ref.value === 0) return [];
  const i = ref.value - 1;
  const { kind, name, stride, padding } = layers[i];
  if (kind === "other") return [];
  let [row, column] = [ref.row, ref.column];
  let how = "";
  if (kind === "pool") {
    const window = windowOf(ref, i);
    ({ row, column } = window[winnerOf(window)]);
    how = ", which won";
  } else if (kind === "conv" || kind === "dense") {
    const [, , kh, kw] = shape(`w${i}`);
    [row, column] = [stride[0] * row - padding[0] + (kh >> 1), stride[1] * column - padding[1] + (kw >> 1)];
    how = " and the pixels around it";
  }
  const next = inside({ ...gradientRef(ref, i, kind in { conv: 1, dense: 1 } ? 0 : ref.channel, row, column) });
  return next ? [{ label: `goes through ${name} to ${valueName(i)} (${row}, ${column})${how}:`, ref: next }] : [];
}

function picture() {
  return { note: "A pixel of the picture as the network sees it: ink 1, paper 0." };
}

function valueRef(ref, value, channel, row, column) {
  return { what: "value", mode: ref.mode, value, twin: ref.twin, channel, row, column };
}

function gradientRef(ref, value, channel, row, column) {
  return { ...valueRef(ref, value, channel, row, column), what: "gradient" };
}

// The patch of x under a kernel at output (row, column), the kernel, and their products; for each shown channel of x.
function convolution(ref, i) {
  const { stride: [s, t], padding: [p, q] } = layers[i];
  const [, shown, kh, kw] = shape(`w${i}`);
  const top = s * ref.row - p, left = t * ref.column - q;
  const terms = [];
  for (let c = 0; c < shown; c++) {
    const patch = grid(kh, kw, (a, b) => at(`${ref.mode}/v${i}`, ref.twin, c, top + a, left + b));
    const kernel = grid(kh, kw, (a, b) => at(`w${i}`, ref.channel, c, a, b));
    terms.push(product(channelName(i, c), ["x", patch], ["weight", kernel],
      (a, b) => inside(valueRef(ref, i, c, top + a, left + b))));
  }
  const others = otherChannels(i);
  if (others) terms.push({
    label: `the other ${plural(others, "channel")}`, value: at(`${ref.mode}/y${i}/others`, ref.twin, ref.channel, ref.row, ref.column),
  });
  terms.push({ label: "bias", value: at(`b${i}`, ref.channel), ref: { what: "bias", mode: backwardMode, layer: i, channel: ref.channel } });
  return {
    proof: `${layers[i].kind}.y`, terms,
    marks: [{ key: `v${i}`, mode: ref.mode, twin: ref.twin, box: [top, left, kh, kw] }],
  };
}

// dx: for each shown channel of dy, the entries of dy and of the kernel that meet at this pixel.
function convolutionBack(ref, i) {
  const { stride: [s, t], padding: [p, q] } = layers[i];
  const [shown, , kh, kw] = shape(`w${i}`);
  const place = (a, b) => [(ref.row + p - a) / s, (ref.column + q - b) / t];  // the y that x[row, column] is in at (a, b)
  const terms = [];
  for (let o = 0; o < shown; o++) {
    const patch = grid(kh, kw, (a, b) => {
      const [row, column] = place(a, b);
      return Number.isInteger(row) && Number.isInteger(column) ? at(`${ref.mode}/g${i + 1}`, ref.twin, o, row, column) : 0;
    });
    const kernel = grid(kh, kw, (a, b) => at(`w${i}`, o, ref.channel, a, b));
    terms.push(product(channelName(i + 1, o), ["dy", patch], ["weight", kernel],
      (a, b) => inside(gradientRef(ref, i + 1, o, ...place(a, b)))));
  }
  const others = otherChannels(i + 1);
  if (others) terms.push({
    label: `the other ${plural(others, "channel")}`, value: at(`${ref.mode}/dx${i}/others`, ref.twin, ref.channel, ref.row, ref.column),
  });
  const [bottom, right] = place(0, 0).map(Math.floor);
  return {
    proof: `${layers[i].kind}.dx`, terms,
    note: "Each dy meets the kernel entry through which it saw this pixel: the kernel is turned by 180 degrees.",
    marks: [{ key: `g${i + 1}`, mode: ref.mode, twin: ref.twin,
      box: [bottom - Math.ceil(kh / s) + 1, right - Math.ceil(kw / t) + 1, Math.ceil(kh / s), Math.ceil(kw / t)] }],
  };
}

// dweight[a, b]: the sum over all places of x and dy, for both twins; the other images as one term.
function kernelGradient(ref) {
  const i = ref.layer;
  const terms = [0, 1].map((twin) => twinTerm(ref, i, twin));
  const others = otherImages(ref.mode);
  if (others) terms.push({ label: `the other ${plural(others, "image")}`,
    value: at(`${ref.mode}/dw${i}/others`, ref.out, ref.in, ref.row, ref.column) });
  return { proof: `${layers[i].kind}.dweight`, terms, ledger: ledger(ref), note: cancelled(terms) };
}

function twinTerm(ref, i, twin) {
  const { stride: [s, t], padding: [p, q] } = layers[i];
  const [, , Ho, Wo] = shape(`${ref.mode}/g${i + 1}`);
  const x = grid(Ho, Wo, (row, column) => at(`${ref.mode}/v${i}`, twin, ref.in, s * row + ref.row - p, t * column + ref.column - q));
  const dy = grid(Ho, Wo, (row, column) => at(`${ref.mode}/g${i + 1}`, twin, ref.out, row, column));
  return product(`the ${twinNames[twin]} twin`, ["x", x], ["dy", dy], (row, column) =>
    inside({ what: "gradient", mode: ref.mode, value: i + 1, twin, channel: ref.out, row, column }));
}

function cancelled(terms) {
  const [first, second] = terms.map((term) => term.value);
  const all = Math.abs(first) + Math.abs(second);
  if (all === 0) return "Neither twin moves this parameter.";
  return Math.sign(first) * Math.sign(second) < 0
    ? `The twins pull in opposite directions: ${percent(1 - Math.abs(first + second) / all)} of their contributions cancel.`
    : "The twins do not pull in opposite directions: nothing cancels.";
}

// The twin ledger of a kernel: what each twin gives to each of its entries, and the sum.
function ledger(ref) {
  const [, , kh, kw] = shape(`w${ref.layer}`);
  const of = (twin) => grid(kh, kw, (row, column) => twinTerm({ ...ref, row, column }, ref.layer, twin).value);
  const twins = [of(0), of(1)];
  return [
    ["first twin", twins[0]], ["second twin", twins[1]],
    ["both", grid(kh, kw, (a, b) => twins[0][a][b] + twins[1][a][b])],
    ...(otherImages(ref.mode) ? [["other images", grid(kh, kw, (a, b) => at(`${ref.mode}/dw${ref.layer}/others`, ref.out, ref.in, a, b))]] : []),
    ["dweight", grid(kh, kw, (a, b) => at(`${ref.mode}/dw${ref.layer}`, ref.out, ref.in, a, b))],
  ];
}

// The gradient of a parameter of a channel: the sum over all pixels of dy times a factor.
function overPixels(ref, proof, othersName, othersIndex, factor) {
  const key = `${ref.mode}/g${ref.layer + 1}`;
  const [, , H, W] = shape(key);
  const terms = [0, 1].map((twin) => {
    const dy = grid(H, W, (row, column) => at(key, twin, ref.channel, row, column));
    const factors = grid(H, W, (row, column) => factor(twin, row, column));
    return product(`the ${twinNames[twin]} twin`, ["dy", dy], [proof === "norm.dweight" ? "z" : "1", factors], (row, column) =>
      inside({ what: "gradient", mode: ref.mode, value: ref.layer + 1, twin, channel: ref.channel, row, column }));
  });
  const others = otherImages(ref.mode);
  if (others) terms.push({ label: `the other ${plural(others, "image")}`, value: at(othersName, ...othersIndex) });
  return { proof, terms, note: cancelled(terms) };
}

function normalised(mode, i, twin, channel, row, column) {
  const [mean, std] = [0, 1].map((which) => at(`${mode}/norm${i}`, which, channel));
  return (at(`${mode}/v${i}`, twin, channel, row, column) - mean) / std;
}

const forward = {
  conv: convolution,
  dense: convolution,
  pool(ref, i) {
    const window = windowOf(ref, i);
    const winner = winnerOf(window);
    return {
      proof: "pool.y", note: `The largest of ${window.length} pixels goes on; the others are forgotten.`,
      terms: window.map((pixel, n) => ({
        label: `pixel (${pixel.row}, ${pixel.column}) is ${shortly(pixel.value)}${n === winner ? ", the winner" : ""}`,
        value: n === winner ? pixel.value : 0, ref: valueRef(ref, i, ref.channel, pixel.row, pixel.column),
      })),
      marks: [{ key: `v${i}`, mode: ref.mode, twin: ref.twin, channel: ref.channel,
        box: [window[0].row, window[0].column, layers[i].window, layers[i].window] }],
    };
  },
  norm(ref, i) {
    const [mean, std, weight, bias] = [0, 1, 2, 3].map((which) => at(`${ref.mode}/norm${i}`, which, ref.channel));
    const x = number(valueRef(ref, i, ref.channel, ref.row, ref.column));
    const source = ref.mode === "compare" ? "running averages from training" : "those of this batch";
    return {
      proof: "norm.y", note: `mean ${shortly(mean)} and std ${shortly(std)} are ${source}.`,
      terms: [
        { label: "weight / std times x", value: weight / std * x, ref: valueRef(ref, i, ref.channel, ref.row, ref.column) },
        { label: "- weight / std times the mean", value: -weight / std * mean },
        { label: "bias", value: bias, ref: { what: "shift", mode: backwardMode, layer: i, channel: ref.channel } },
      ],
    };
  },
  relu(ref, i) {
    const source = valueRef(ref, i, ref.channel, ref.row, ref.column);
    const x = number(source);
    return {
      proof: "relu.y", note: x > 0 ? "x is positive and passes." : "x is not positive: nothing passes.",
      factors: [{ label: "x", value: x, ref: source }, { label: x > 0 ? "open" : "shut", value: x > 0 ? 1 : 0 }],
    };
  },
  sigmoid(ref, i) {
    const source = valueRef(ref, i, ref.channel, ref.row, ref.column);
    const x = number(source);
    return {
      proof: "sigmoid.y", note: `x = ${shortly(x)}; the slope here is ${shortly(slope(number(ref)))}, at most 0.25.`,
      terms: [{ label: "1 / (1 + exp(-x))", value: 1 / (1 + Math.exp(-x)), ref: source }],
    };
  },
  flatten: same("flatten.y", "value"),
  other: () => ({ note: "A layer of your own: the page shows what goes in and out of it, and cannot say how it computes." }),
};

const backward = {
  conv: convolutionBack,
  dense: convolutionBack,
  pool(ref, i) {
    const terms = [];
    const { window: k, stride: [s] } = layers[i];
    const [, , Ho, Wo] = shape(`${ref.mode}/g${i + 1}`);
    for (let row = Math.max(0, Math.ceil((ref.row - k + 1) / s)); row <= Math.min(Ho - 1, Math.floor(ref.row / s)); row++) {
      for (let column = Math.max(0, Math.ceil((ref.column - k + 1) / s)); column <= Math.min(Wo - 1, Math.floor(ref.column / s)); column++) {
        const output = gradientRef(ref, i + 1, ref.channel, row, column);
        const window = windowOf(output, i);
        const winner = window[winnerOf(window)];
        const won = winner.row === ref.row && winner.column === ref.column;
        terms.push({ label: `y (${row}, ${column}): ${won ? "this pixel won it" : `(${winner.row}, ${winner.column}) won it`}`,
          value: won ? number(output) : 0, ref: output });
      }
    }
    return { proof: "pool.dx", terms, note: terms.length ? "Only the winner of a window gets its gradient."
      : "This pixel is in no window: the pooling drops what is left over at the edge." };
  },
  norm(ref, i) {
    const [mean, std, weight] = [0, 1, 2].map((which) => at(`${ref.mode}/norm${i}`, which, ref.channel));
    const output = gradientRef(ref, i + 1, ref.channel, ref.row, ref.column);
    const z = (at(`${ref.mode}/v${i}`, ref.twin, ref.channel, ref.row, ref.column) - mean) / std;
    const M = layers[i].pixels * 2 * facts.modes[ref.mode].pairs;
    const [dbias, dweight] = [0, 1].map((which) => at(`${ref.mode}/dnorm${i}`, which, ref.channel));
    return {
      proof: "norm.dx", note: `M = ${plural(M, "pixel")} of this channel in the batch; z = ${shortly(z)}.`,
      terms: [
        { label: "weight / std times dy", value: weight / std * number(output), ref: output },
        { label: "through the mean: - weight / std times dbias / M", value: -weight / std * dbias / M,
          ref: { what: "dshift", mode: ref.mode, layer: i, channel: ref.channel } },
        { label: "through the variance: - weight / std times z dweight / M", value: -weight / std * z * dweight / M,
          ref: { what: "dscale", mode: ref.mode, layer: i, channel: ref.channel } },
      ],
    };
  },
  relu(ref, i) {
    const output = gradientRef(ref, i + 1, ref.channel, ref.row, ref.column);
    const y = number({ ...output, what: "value" });
    return {
      proof: "relu.dx", note: y > 0 ? "y is positive: the gradient passes." : "y is 0: no gradient passes.",
      factors: [{ label: "dy", value: number(output), ref: output }, { label: y > 0 ? "open" : "shut", value: y > 0 ? 1 : 0 }],
    };
  },
  sigmoid(ref, i) {
    const output = gradientRef(ref, i + 1, ref.channel, ref.row, ref.column);
    const e = Math.exp(-Math.abs(number(valueRef(ref, i, ref.channel, ref.row, ref.column))));
    return {
      proof: "sigmoid.dx", note: "The slope is at most 0.25, and nearly 0 where the sigmoid is saturated.",
      factors: [{ label: "dy", value: number(output), ref: output }, { label: "slope y (1 - y)", value: e / (1 + e) ** 2 }],
    };
  },
  flatten: same("flatten.dx", "gradient"),
  other: () => ({ note: "A layer of your own: the page shows the gradient that it passed on, and cannot say how." }),
};

function same(proof, what) {
  return (ref, i) => {
    const source = { ...ref, value: what === "value" ? i : i + 1 };
    return { proof, note: "The same numbers in another order.", terms: [{ label: "the same number", value: number(source), ref: source }] };
  };
}

function windowOf(ref, i) {
  const { window: k, stride: [s, t] } = layers[i];
  const pixels = [];
  for (let a = 0; a < k; a++) for (let b = 0; b < k; b++) {
    const [row, column] = [s * ref.row + a, t * ref.column + b];
    pixels.push({ row, column, value: at(`${ref.mode}/v${i}`, ref.twin, ref.channel, row, column) });
  }
  return pixels;
}

function winnerOf(window) {  // the first of the largest
  return window.reduce((best, pixel, n) => (pixel.value > window[best].value ? n : best), 0);
}

function slope(y) {
  return y * (1 - y);
}

function fromHead(ref) {
  const difference = embedding(ref.mode, 0, ref.channel) - embedding(ref.mode, 1, ref.channel);
  const sign = Math.sign(difference);
  return {
    proof: ref.twin === 0 ? "head.dh1" : "head.dh2",
    note: `h1 - h2 = ${shortly(difference)}. The twins get gradients of equal size and opposite sign.`,
    factors: [
      { label: "dlogit", value: number({ what: "dlogit", mode: ref.mode }), ref: { what: "dlogit", mode: ref.mode } },
      { label: "alpha, the head's weight", value: at("alpha", ref.channel), ref: { what: "alpha", mode: ref.mode, channel: ref.channel } },
      { label: ref.twin === 0 ? "sign of h1 - h2" : "- sign of h1 - h2", value: ref.twin === 0 ? sign : -sign },
    ],
  };
}

function alphaGradient(ref) {
  const mode = facts.modes[ref.mode];
  const terms = [{ label: "this pair: dlogit |h1 - h2|", value: mode.dlogit * distance(ref.mode, ref.channel), ref: { what: "dlogit", mode: ref.mode } }];
  if (mode.pairs > 1) terms.push({ label: `the other ${plural(mode.pairs - 1, "pair")}`, value: at(`${ref.mode}/dalpha/others`, ref.channel) });
  return { proof: "head.dweight", terms };
}

function headBiasGradient(ref) {
  const mode = facts.modes[ref.mode];
  const terms = [{ label: "dlogit of this pair", value: mode.dlogit, ref: { what: "dlogit", mode: ref.mode } }];
  if (mode.pairs > 1) terms.push({ label: `of the other ${plural(mode.pairs - 1, "pair")}`, value: mode.dlogitOthers });
  return { proof: "head.dbias", terms };
}

function logit(ref) {
  const mode = facts.modes[ref.mode];
  const terms = facts.channels[headInput].map((feature, d) => ({
    label: `feature ${feature}: alpha |h1 - h2|`, value: number({ what: "part", mode: ref.mode, channel: d }),
    ref: { what: "part", mode: ref.mode, channel: d },
  }));
  if (mode.otherFeatures) terms.push({ label: `the other ${plural(mode.otherFeatures, "feature")}`, value: mode.logitOthers });
  terms.push({ label: "bias", value: mode.headBias, ref: { what: "headBias", mode: backwardMode } });
  return { proof: "head.logit", terms, note: `P(same character) = sigmoid(logit) = ${percent(mode.p, 2)}.` };
}

function loss(ref) {
  const mode = facts.modes[ref.mode];
  const own = Math.max(mode.logit, 0) - mode.logit * mode.label + Math.log1p(Math.exp(-Math.abs(mode.logit)));
  const terms = [{ label: "this pair, divided by N", value: own / mode.pairs, ref: { what: "logit", mode: ref.mode } }];
  if (mode.pairs > 1) terms.push({ label: `the other ${plural(mode.pairs - 1, "pair")}`, value: mode.lossOthers / mode.pairs });
  return { proof: "loss.loss", terms, note: `N = ${plural(mode.pairs, "pair")}. The label of this one is ${mode.label}: ${sameOrNot()}.` };
}

function logitGradient(ref) {
  const mode = facts.modes[ref.mode];
  return {
    proof: "loss.dlogits", note: "What the whole way back starts with: how far the answer is from the label.",
    factors: [{ label: "p - t", value: 1 / (1 + Math.exp(-mode.logit)) - mode.label, ref: { what: "logit", mode: ref.mode } },
      { label: `1 / N, N = ${plural(mode.pairs, "pair")}`, value: 1 / mode.pairs }],
  };
}

function sameOrNot() {
  return facts.same ? "the same character" : "different characters";
}

// A term that sums the products of two grids; refAt(row, column) is where an entry of the first comes from, or null.
function product(label, [leftName, left], [rightName, right], refAt) {
  const products = left.map((row, a) => row.map((value, b) => value * right[a][b]));
  let value = 0;
  let [most, ref] = [0, null];
  products.forEach((row, a) => row.forEach((each, b) => {
    value += each;
    if (Math.abs(each) > most) [most, ref] = [Math.abs(each), refAt(a, b)];
  }));
  return { label, value, ref, grids: [[leftName, left, refAt], [rightName, right], ["product", products]] };
}

// The reference of a pixel, or null where there is none: in the padding, or between the steps of a stride.
function inside(ref) {
  const [, , rows, columns] = shape(`${ref.mode}/${ref.what === "value" ? "v" : "g"}${ref.value}`);
  const within = (place, count) => Number.isInteger(place) && place >= 0 && place < count;
  return within(ref.row, rows) && within(ref.column, columns) ? ref : null;
}

function grid(rows, columns, value) {
  return Array.from({ length: rows }, (_, row) => Array.from({ length: columns }, (_, column) => value(row, column)));
}

// ---- Writing numbers ----

function shortly(value) {
  if (value === 0 || value === null || value === undefined) return value === 0 ? "0" : "";
  const size = Math.abs(value);
  if (Number.isInteger(value) && size < 1e9) return value.toLocaleString("en");
  return size >= 1e5 || size < 1e-4 ? value.toExponential(2) : String(Number(value.toPrecision(4)));
}

function percent(share, digits = 0) {
  return `${(100 * share).toFixed(digits)}\u00a0%`;
}

function element(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in node && name !== "role") node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

function tableOf(headings, rows) {
  const cell = (tag, content, numeric) => element(tag, { className: numeric ? "n" : "" }, content);
  const numeric = headings.map((_, column) => rows.some((row) => typeof row[column] === "number"));
  return element("table", {},
    element("thead", {}, element("tr", {}, ...headings.map((heading, column) => cell("th", heading, numeric[column])))),
    element("tbody", {}, ...rows.map((row) => element("tr", {}, ...row.map((value, column) =>
      cell("td", typeof value === "number" ? shortly(value) : value ?? "", numeric[column]))))));
}

// ---- Colours ----

let palette;  // [minus, zero, plus] as [r, g, b], and ink

function readPalette() {
  const style = getComputedStyle(document.documentElement);
  palette = Object.fromEntries(["minus", "zero", "plus", "ink", "mark"].map((name) => {
    const hex = style.getPropertyValue(`--${name}`).trim();
    return [name, hex.match(/[0-9a-f]{2}/gi).map((pair) => parseInt(pair, 16))];
  }));
}

function colour(value, most) {
  const t = most > 0 ? Math.max(-1, Math.min(1, value / most)) : 0;
  const end = t < 0 ? palette.minus : palette.plus;
  const share = Math.abs(t) ** 0.8;  // small numbers show a little more
  return palette.zero.map((zero, channel) => zero + share * (end[channel] - zero));
}

function css([r, g, b]) {
  return `rgb(${Math.round(r)} ${Math.round(g)} ${Math.round(b)})`;
}

function legible([r, g, b]) {
  return 0.3 * r + 0.59 * g + 0.11 * b > 140 ? "#111" : "#fff";
}

function largest(values) {
  return values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
}

// ---- Pictures ----

const pictures = [];  // all mosaics, to be drawn again when the colours or the marks change

// Several small maps in one canvas, side by side. cells: {rows, columns, value(row, column), ref(row, column)}.
// key: what it shows, for marks. most: the number that has the full colour. onChoose: called after a choice on it.
class Mosaic {
  constructor({ cells, across, size, label, key, most, choosable = true, focusChooses = true, onChoose = () => {} }) {
    Object.assign(this, { cells, across, size, key, most, focusChooses, onChoose });
    this.gap = 2;
    this.pitch = size + this.gap;  // from one cell to the next
    this.marks = [];
    this.cursor = [0, 0, 0];  // the cell, row and column where the arrow keys stand
    this.painted = null;  // the cells without marks
    const down = Math.ceil(cells.length / across);
    this.canvas = element("canvas", { role: "img" });
    this.canvas.setAttribute("aria-label", label);
    this.canvas.style.width = `${across * this.pitch - this.gap}px`;
    this.canvas.style.height = `${down * this.pitch - this.gap}px`;
    if (choosable) this.listen();
    pictures.push(this);
  }

  listen() {
    const canvas = this.canvas;
    canvas.tabIndex = 0;
    canvas.mosaic = this;
    canvas.addEventListener("pointermove", (event) => event.pointerType !== "touch" && !pinned && this.point(event));
    canvas.addEventListener("mousedown", (event) => event.preventDefault());  // a click shall not move the focus
    canvas.addEventListener("click", (event) => { this.point(event); pin(event.pointerType !== "touch"); });
    canvas.addEventListener("focus", () => this.focusChooses && !pinned && this.choose(...this.cursor));
    canvas.addEventListener("keydown", (event) => this.onKey(event));
  }

  point(event) {
    const box = this.canvas.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    const index = Math.floor(y / this.pitch) * this.across + Math.floor(x / this.pitch);
    const cell = this.cells[index];
    if (!cell) return;
    const part = (along, count) => Math.min(count - 1, Math.floor((along % this.pitch) / this.size * count));
    this.choose(index, part(y, cell.rows), part(x, cell.columns));
  }

  onKey(event) {
    const move = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (!move) return;
    event.preventDefault();
    pin(false);
    if (event.shiftKey) {
      neighbour(this.canvas, ...move)?.focus();
      return;
    }
    let [index, row, column] = this.cursor;
    const cell = this.cells[index];
    row += move[0];
    column += move[1];
    const next = row < 0 ? index - this.across : row >= cell.rows ? index + this.across
      : column < 0 ? index - 1 : column >= cell.columns ? index + 1 : index;
    if (!this.cells[next]) {
      neighbour(this.canvas, ...move)?.focus();
      return;
    }
    if (next !== index) {  // into the cell beside it, from the other side
      row = (row + this.cells[next].rows) % this.cells[next].rows;
      column = (column + this.cells[next].columns) % this.cells[next].columns;
    }
    this.choose(next, row, column);
  }

  choose(index, row, column) {
    this.cursor = [index, row, column];
    choose(this.cells[index].ref(row, column), this.onChoose);
  }

  draw() {
    const canvas = this.canvas;
    this.painted ??= this.paint();
    canvas.width = this.painted.width;
    canvas.height = this.painted.height;
    const pen = canvas.getContext("2d");
    pen.drawImage(this.painted, 0, 0);
    pen.scale(ratio(), ratio());
    pen.strokeStyle = css(palette.mark);
    pen.lineWidth = 1.5;
    for (const { index, box: [row, column, rows, columns] } of this.marks) {
      const cell = this.cells[index];
      const [left, top] = this.corner(index);
      const [down, right] = [this.size / cell.rows, this.size / cell.columns];
      pen.strokeRect(left + column * right, top + row * down, Math.max(3, columns * right), Math.max(3, rows * down));
    }
  }

  paint() {
    const canvas = element("canvas", {
      width: Math.round(parseFloat(this.canvas.style.width) * ratio()),
      height: Math.round(parseFloat(this.canvas.style.height) * ratio()),
    });
    const pen = canvas.getContext("2d");
    pen.scale(ratio(), ratio());
    pen.imageSmoothingEnabled = false;
    pen.strokeStyle = css(palette.ink);
    this.cells.forEach((cell, index) => {
      const [left, top] = this.corner(index);
      pen.drawImage(this.image(cell), left, top, this.size, this.size);
      pen.globalAlpha = 0.18;
      pen.strokeRect(left + 0.5, top + 0.5, this.size - 1, this.size - 1);
      pen.globalAlpha = 1;
    });
    return canvas;
  }

  image(cell) {
    const canvas = element("canvas", { width: cell.columns, height: cell.rows });
    const pen = canvas.getContext("2d");
    const image = pen.createImageData(cell.columns, cell.rows);
    let place = 0;
    for (let row = 0; row < cell.rows; row++) for (let column = 0; column < cell.columns; column++) {
      const [r, g, b] = cell.ink ? inkColour(cell.value(row, column)) : colour(cell.value(row, column), this.most);
      image.data.set([r, g, b, 255], place);
      place += 4;
    }
    pen.putImageData(image, 0, 0);
    return canvas;
  }

  corner(index) {
    return [(index % this.across) * this.pitch, Math.floor(index / this.across) * this.pitch];
  }
}

function ratio() {
  return window.devicePixelRatio || 1;
}

// The canvas beside another one in the strip: in the next layer, or in the next row of the same layer.
function neighbour(canvas, down, right) {
  const column = canvas.closest("#strip .column");
  if (!column) return null;
  const row = canvas.closest("[data-row]").dataset.row;
  if (down) {
    const all = [...column.querySelectorAll("canvas[tabindex]")];
    return all[all.indexOf(canvas) + down];
  }
  for (let next = column; (next = right > 0 ? next.nextElementSibling : next.previousElementSibling);) {
    const found = next.querySelector(`[data-row="${row}"] canvas[tabindex]`);
    if (found) return found;
  }
  return null;
}

function inkColour(ink) {
  return palette.zero.map((paper, channel) => paper + ink * (palette.ink[channel] - paper));
}

// Draw what is new on the page or has other marks, and forget what is no longer there.
function draw() {
  pictures.splice(0, pictures.length, ...pictures.filter((picture) => picture.canvas.isConnected));
  pictures.filter((picture) => picture.stale ?? true).forEach((picture) => { picture.draw(); picture.stale = false; });
}

// Draw everything again, in other colours or at another size.
function drawAll() {
  readPalette();
  pictures.forEach((picture) => Object.assign(picture, { painted: null, stale: true }));
  if (chosen) choose(chosen);
  draw();
}

function mapMosaic(what, mode, value, twin) {
  const name = `${mode}/${what === "value" ? "v" : "g"}${value}`;
  const [, shown, rows, columns] = shape(name);
  const cells = Array.from({ length: shown }, (_, channel) => ({
    rows, columns, ink: what === "value" && value === 0,
    value: (row, column) => at(name, twin, channel, row, column),
    ref: (row, column) => ({ what, mode, value, twin, channel, row, column }),
  }));
  const alone = shown === 1;
  return new Mosaic({
    cells, across: alone ? 1 : 4, size: alone ? 58 : 28, most: largestOf(name), key: `${name}/${twin}`,
    label: `${valueName(value)}, ${what === "value" ? "forward" : "gradient"}, ${twinNames[twin]} twin; arrow keys move, with Shift to the next picture`,
  });
}

function kernelMosaic(what, mode, layer) {
  const name = what === "weight" ? `w${layer}` : `${mode}/dw${layer}`;
  const [outs, ins, rows, columns] = shape(name);
  const cells = [];
  for (let out = 0; out < outs; out++) for (let from = 0; from < ins; from++) cells.push({
    rows, columns, value: (row, column) => at(name, out, from, row, column),
    ref: (row, column) => ({ what, mode, layer, out, in: from, row, column }),
  });
  return new Mosaic({ cells, across: ins === 1 ? 4 : ins, size: ins === 1 ? 28 : 13, most: largestOf(name), key: name,
    label: `${what} of ${layers[layer].name}: a row for each output channel, a column for each input channel` });
}

function vectorMosaic(whats, mode, layer, label) {
  const refs = whats.flatMap((what) => facts.channels[layer + 1].map((_, channel) => ({ what, mode, layer, channel })));
  const cells = refs.map((ref) => ({ rows: 1, columns: 1, value: () => number(ref), ref: () => ref }));
  return new Mosaic({ cells, across: facts.channels[layer + 1].length, size: 13, label, key: `${mode}/${whats[0]}/${layer}`,
    most: largest(refs.map(number)) });
}

function largestOf(name) {
  const [start, sizes] = facts.layout[name];
  return largest(numbers.subarray(start, start + sizes.reduce((product, size) => product * size, 1)));
}

function valueName(value) {
  return value === 0 ? "picture" : layers[value - 1].name;
}

function scaleOf(mosaic) {
  return element("div", { className: "scale" }, `up to ${shortly(mosaic.most)}`);
}

// ---- The strip ----

function drawStrip() {
  const strip = document.getElementById("strip");
  const place = strip.scrollLeft;
  const names = [["forward \u2192", "first twin"], ["", "second twin"], ["\u2190 gradient", "first twin"], ["", "second twin"],
    ["weights", "out \u2193\u00a0 in \u2192"], ["gradient", "of weights"]];
  strip.replaceChildren(column("names", element("div"), ...names.map(([what, which]) =>
    element("div", {}, element("b", {}, what), which))));
  for (let value = 0; value <= headInput; value++) strip.append(layerColumn(value));
  strip.append(headColumn(), lossColumn());
  for (const row of [1, 2, 3, 4, 5, 6]) {  // one tab stop a row; the arrow keys do the rest
    [...strip.querySelectorAll(`[data-row="${row}"] canvas[tabindex]`)].slice(1).forEach((canvas) => { canvas.tabIndex = -1; });
  }
  strip.scrollLeft = place;
  draw();
}

// A column of the strip: its head, and what stands in each of the six rows.
function column(kind, head, ...rows) {
  head.classList.add("head");
  const cells = rows.map((row, n) => {
    const cell = row ?? element("div");
    cell.dataset.row = n + 1;
    return cell;
  });
  return element("div", { className: `column ${kind}` }, head, ...cells);
}

function layerColumn(value) {
  const layer = layers[value - 1];
  const maps = ["value", "gradient"].flatMap((what) => [0, 1].map((twin) =>
    withScale(mapMosaic(what, what === "value" ? "compare" : backwardMode, value, twin))));
  const head = layer ? [element("b", {}, layer.name), element("br"), layer.type, element("br"), sizeOf(value)]
    : [element("b", {}, "picture"), element("br"), sizeOf(0)];
  return column("layer", element("div", {}, ...head), ...maps, ...parameters(value - 1));
}

function withScale(...mosaics) {
  return element("div", {}, ...mosaics.flatMap((mosaic) => [mosaic.canvas, scaleOf(mosaic)]));
}

function sizeOf(value) {
  const [, , rows, columns] = shape(`compare/v${value}`);
  const count = countOf(value);
  return layers[value - 1]?.kind === "flatten" ? plural(rows * columns * count, "number")
    : rows * columns === 1 ? plural(count, "feature") : `${rows} \u00d7 ${columns} \u00d7 ${count}`;
}

function parameters(i) {
  const kind = layers[i]?.kind;
  const name = layers[i]?.name;
  if (kind === "conv" || kind === "dense") return [
    withScale(kernelMosaic("weight", backwardMode, i), vectorMosaic(["bias"], backwardMode, i, `biases of ${name}`)),
    withScale(kernelMosaic("dweight", backwardMode, i), vectorMosaic(["dbias"], backwardMode, i, `gradients of the biases of ${name}`))];
  if (kind === "norm") return [
    withScale(vectorMosaic(["scale", "shift"], backwardMode, i, `weights, then biases, of ${name}`)),
    withScale(vectorMosaic(["dscale", "dshift"], backwardMode, i, `gradients of the weights, then of the biases, of ${name}`))];
  return [null, null];
}

function headColumn() {
  const vector = (what, mode, label) => {
    const cell = withScale(vectorOfHead(what, mode));
    cell.append(element("div", { className: "scale" }, label));
    return cell;
  };
  return column("head-column",
    element("div", {}, element("b", {}, "head"), element("br"), facts.head.type, element("br"), plural(facts.head.features, "feature")),
    vector("part", "compare", "alpha |h1 - h2|"),
    element("div", {}, numberButton("logit", { what: "logit", mode: "compare" }), element("b", {}, `P(same) ${percent(facts.modes.compare.p, 1)}`)),
    element("div", {}, numberButton("dlogit", { what: "dlogit", mode: backwardMode })), null,
    vector("alpha", backwardMode, "alpha"), vector("dalpha", backwardMode, "dalpha"));
}

function vectorOfHead(what, mode) {
  const refs = facts.channels[headInput].map((_, channel) => ({ what, mode, channel }));
  return new Mosaic({ cells: refs.map((ref) => ({ rows: 1, columns: 1, value: () => number(ref), ref: () => ref })),
    across: 4, size: 28, label: `${what} of the head, a cell for each shown feature; arrow keys move`, key: `${mode}/${what}`,
    most: largest(refs.map(number)) });
}

function lossColumn() {
  return column("loss",
    element("div", {}, element("b", {}, "loss"), element("br"), "PairCrossEntropy"),
    element("div", { className: "none" }, "no loss without a label"), null,
    element("div", {}, numberButton("loss", { what: "loss", mode: backwardMode }),
      numberButton("logit in the step", { what: "logit", mode: backwardMode })), null, null, null);
}

function numberButton(label, ref) {
  const button = element("button", { className: "number", type: "button" }, `${label} ${shortly(number(ref))}`);
  button.addEventListener("click", () => { choose(ref); pin(true); });
  button.addEventListener("pointerenter", () => !pinned && choose(ref));
  button.addEventListener("focus", () => !pinned && choose(ref));
  return button;
}

// ---- The panel below it ----

let chosen = null;
let pinned = false;  // whether moving over other numbers changes nothing

function pin(keep) {
  pinned = keep;
  document.getElementById("why").classList.toggle("pinned", keep);
}

document.addEventListener("keydown", (event) => event.key === "Escape" && pin(false));

// Show where a number comes from; `then` is called when it is on the page.
function choose(ref, then = () => {}) {
  chosen = ref;
  const why = explain(ref);
  const terms = why.terms ?? why.factors ?? [];
  const most = terms.filter((term) => term.grids).reduce((best, term) => (!best || Math.abs(term.value) > Math.abs(best.value) ? term : best), null);
  const grids = element("div", {}, ...(most ? [gridsOf(most)] : []));
  document.getElementById("why").replaceChildren(
    element("div", {},
      element("h3", { tabIndex: -1 }, titleOf(ref)),
      element("div", { className: "value" }, element("output", {}, shortly(why.value)), element("span", { className: "kept" }, "kept \u00b7 Esc releases")),
      element("p", {}, why.note ?? ""), ...enlarged(ref), ...(why.links ?? []).map(linkTo),
      element("small", {}, ref.mode === "compare" ? "As `scratchnet compare` computes it." : stepName(ref.mode))),
    element("div", {}, ...sumOf(why, (term) => { grids.replaceChildren(gridsOf(term)); draw(); })),
    element("div", {}, grids, ...(why.ledger ? [ledgerOf(why.ledger, ref)] : []), proofOf(why)));
  mark(ref, why.marks ?? []);
  draw();
  then();
}

// Go to a number from the panel, which is then another one.
function follow(ref) {
  choose(ref);
  pin(true);
  document.querySelector("#why h3").focus({ preventScroll: true });
}

function titleOf(ref) {
  const layer = ref.layer !== undefined ? layers[ref.layer].name : "";
  const pixel = () => (channelName(ref.value, 0).startsWith("feature") ? "" : `, pixel (${ref.row}, ${ref.column})`);
  const where = () => `${channelName(ref.value, ref.channel)}${pixel()}, ${twinNames[ref.twin]} twin`;
  const channel = () => channelName(ref.layer + 1, ref.channel);
  const entry = () => `from ${channelName(ref.layer, ref.in)} to ${channelName(ref.layer + 1, ref.out)}, entry (${ref.row}, ${ref.column})`;
  switch (ref.what) {
    case "value": return `${ref.value ? `Output of ${valueName(ref.value)}` : "Picture"}: ${where()}`;
    case "gradient": return `Gradient at ${ref.value ? `the output of ${valueName(ref.value)}` : "the picture"}, the dx of ${ref.value === headInput ? "the head" : layers[ref.value].name}: ${where()}`;
    case "weight": return `Weight of ${layer}: ${entry()}`;
    case "dweight": return `Gradient of the weight of ${layer}: ${entry()}`;
    case "bias": case "shift": return `Bias of ${layer}: ${channel()}`;
    case "dbias": case "dshift": return `Gradient of the bias of ${layer}: ${channel()}`;
    case "scale": return `Weight of ${layer}: ${channel()}`;
    case "dscale": return `Gradient of the weight of ${layer}: ${channel()}`;
    case "alpha": return `alpha, the head's weight: feature ${facts.channels[headInput][ref.channel]}`;
    case "dalpha": return `Gradient of alpha: feature ${facts.channels[headInput][ref.channel]}`;
    case "part": return `What feature ${facts.channels[headInput][ref.channel]} adds to the logit`;
    case "logit": return ref.mode === "compare" ? "The logit: the answer before the sigmoid" : "The logit of this pair in the step";
    case "dlogit": return "The gradient at the logit";
    case "loss": return "The loss of the batch";
    case "headBias": return "The head's bias";
    case "dheadBias": return "Gradient of the head's bias";
  }
}

function proofOf(why) {
  const proof = facts.proofs[why.proof];
  return element("dl", {}, ...(proof ? [
    element("dt", {}, `equation ${proof.number}`), element("dd", {}, element("code", {}, proof.equation)),
    element("dt", {}, `computed in ${proof.place}`), element("dd", {}, element("pre", {}, proof.line)),
    element("dt", {}, "tested, in a clone of scratchnet, by"), element("dd", {}, element("pre", { className: "copy" }, `pytest ${proof.test}`)),
  ] : []));
}

function linkTo({ label, ref }) {
  const button = element("button", { className: "number", type: "button" }, `${label} ${shortly(number(ref))}`);
  button.addEventListener("click", () => follow(ref));
  return button;
}

function stepName(mode) {
  return `In a training step on ${mode === "alone" ? "this pair alone" : plural(facts.modes[mode].pairs, "pair")}.`;
}

// The terms, their sum, and how far it is from the number in the array.
function sumOf(why, show) {
  const terms = why.terms ?? why.factors;
  if (!terms) return [];
  const most = largest(terms.map((term) => term.value)) || 1;
  const rows = terms.map((term) => {
    const row = element(term.ref || term.grids ? "button" : "div", { className: "term", type: "button" },
      element("span", {}, term.label), element("span", { className: "n" }, (why.factors ? "\u00d7 " : "") + shortly(term.value)));
    if (why.terms) row.append(bar(term.value / most));
    if (term.grids) {
      row.addEventListener("pointerenter", () => show(term));
      row.addEventListener("focus", () => show(term));
    }
    if (term.ref) {
      row.title = "click to go there";
      row.addEventListener("click", () => follow(term.ref));
    }
    return row;
  });
  const line = (label, value) => element("div", { className: "sum" }, element("span", {}, label), element("span", { className: "n" }, value));
  return [element("h3", {}, why.terms ? "The sum of" : "The product of"), ...rows,
    line(why.terms ? "sum" : "product", String(Number(why.sum.toPrecision(9)))),
    line("value in the array", String(Number(why.value.toPrecision(9)))),
    line("difference", why.gap === 0 ? "0" : `${why.gap.toExponential(1)} (float32)`)];
}

function bar(share) {
  const inside = element("i");
  inside.style.width = `${50 * Math.abs(share)}%`;
  inside.style.left = share < 0 ? `${50 - 50 * Math.abs(share)}%` : "50%";
  inside.style.background = share < 0 ? "var(--minus)" : "var(--plus)";
  return element("span", { className: "bar" }, inside);
}

// The map or kernel of the number, large enough to pick an entry with a finger.
function enlarged(ref) {
  const kernel = ref.what === "weight" || ref.what === "dweight";
  if (!kernel && ref.what !== "value" && ref.what !== "gradient") return [];
  const name = kernel ? (ref.what === "weight" ? `w${ref.layer}` : `${ref.mode}/dw${ref.layer}`)
    : `${ref.mode}/${ref.what === "value" ? "v" : "g"}${ref.value}`;
  const [, , rows, columns] = shape(name);
  if (rows * columns === 1) return [];
  const mosaic = new Mosaic({
    cells: [{ rows, columns, ink: ref.what === "value" && ref.value === 0,
      value: (row, column) => number({ ...ref, row, column }), ref: (row, column) => ({ ...ref, row, column }) }],
    across: 1, size: kernel ? 130 : 200, most: largestOf(name), label: `${titleOf(ref)}, enlarged; arrow keys move`,
    focusChooses: false, onChoose: () => document.querySelector("#why canvas[tabindex]").focus({ preventScroll: true }),
  });
  mosaic.cursor = [0, ref.row, ref.column];
  mosaic.marks = [{ index: 0, box: [ref.row, ref.column, 1, 1] }];
  return [mosaic.canvas];
}

// The numbers that a term sums: two grids and their products. A click on an entry of the first goes to it.
function gridsOf(term) {
  const signs = ["\u00d7", "="];
  const parts = term.grids.flatMap(([name, values, refAt], n) => [
    element("figure", {}, gridOf(values, name, refAt), element("figcaption", {}, name === "product" ? `sums to ${shortly(term.value)}` : name)),
    ...(n < 2 ? [signs[n]] : [])]);
  return element("div", {}, element("h3", {}, term.label), element("div", { className: "grids" }, ...parts));
}

function gridOf(values, name, refAt = () => null) {
  const most = largest(values.flat());
  if (values.length > 7 || values[0].length > 7) return plainMap(values, 120, most, name).canvas;
  return element("table", { className: "grid" }, element("tbody", {}, ...values.map((row, a) => element("tr", {}, ...row.map((value, b) => {
    const cell = element("td", {}, String(Number(value.toPrecision(2))));
    const fill = colour(value, most);
    Object.assign(cell.style, { background: css(fill), color: legible(fill) });
    const ref = refAt(a, b);
    if (ref) {
      cell.className = "link";
      cell.addEventListener("click", () => follow(ref));
    }
    return cell;
  })))));
}

// A map that is only looked at.
function plainMap(values, size, most, label) {
  const cells = [{ rows: values.length, columns: values[0].length, value: (row, column) => values[row][column] }];
  return new Mosaic({ cells, across: 1, size, most, label, choosable: false });
}

function ledgerOf(entries, ref) {
  const most = largest(entries.flatMap(([, values]) => values.flat()));
  const norms = layers.some((layer) => layer.kind === "norm") && ref.mode === "batch"
    ? " In the batch, part of what a twin gives belongs to the other pairs: it comes through batch norm's mean and variance. See this pair alone." : "";
  return element("div", {}, element("h3", {}, "The twin ledger of this kernel"),
    element("div", { className: "grids" }, ...entries.map(([name, values]) => {
      const mosaic = plainMap(values, 72, most, name);
      mosaic.marks = [{ index: 0, box: [ref.row, ref.column, 1, 1] }];
      return element("figure", {}, mosaic.canvas, element("figcaption", {}, name));
    })),
    element("p", {}, element("small", {}, `One scale for all, up to ${shortly(most)}. Of all shown weights of ${layers[ref.layer].name}, `
      + `${percent(cancelledIn(ref.mode, ref.layer))} of the twins' contributions cancel.${norms}`)));
}

const cancelledShares = {};

// The share of what the twins give to the shown weights of a layer that cancels between them.
function cancelledIn(mode, layer) {
  const [outs, ins] = shape(`w${layer}`);
  return cancelledShares[`${mode}/${layer}`] ??= (() => {
    let [all, left] = [0, 0];
    for (let out = 0; out < outs; out++) for (let from = 0; from < ins; from++) {
      const [first, second] = ledger({ mode, layer, out, in: from }).map(([, values]) => values.flat());
      first.forEach((value, n) => {
        all += Math.abs(value) + Math.abs(second[n]);
        left += Math.abs(value + second[n]);
      });
    }
    return all ? 1 - left / all : 0;
  })();
}

// Frames around the chosen number and around what it comes from.
function mark(ref, marks) {
  const { key, index, box } = home(ref);
  for (const picture of pictures.filter((each) => each.key)) {
    const before = picture.marks.length;
    picture.marks = picture.key === key ? [{ index, box }] : [];
    for (const around of marks) {
      if (picture.key !== `${around.mode}/${around.key}/${around.twin}`) continue;
      picture.cells.forEach((_, cell) => (around.channel ?? cell) === cell && picture.marks.push({ index: cell, box: around.box }));
    }
    picture.stale ||= before > 0 || picture.marks.length > 0;
  }
}

// The mosaic of the strip that shows a number, and its place there.
function home(ref) {
  const { what, mode, layer, channel } = ref;
  const one = [0, 0, 1, 1];
  switch (what) {
    case "value": case "gradient":
      return { key: `${mode}/${what === "value" ? "v" : "g"}${ref.value}/${ref.twin}`, index: channel, box: [ref.row, ref.column, 1, 1] };
    case "weight": case "dweight":
      return { key: what === "weight" ? `w${layer}` : `${mode}/dw${layer}`, index: ref.out * shape(`w${layer}`)[1] + ref.in, box: [ref.row, ref.column, 1, 1] };
    case "shift": case "dshift": {
      const first = what.replace("shift", "scale");
      return { key: `${mode}/${first}/${layer}`, index: facts.channels[layer + 1].length + channel, box: one };
    }
    case "part": case "alpha": case "dalpha": return { key: `${mode}/${what}`, index: channel, box: one };
    default: return { key: `${mode}/${what}/${layer}`, index: channel, box: one };
  }
}

// ---- The other sections ----

function drawHeader() {
  const { modes, names } = facts;
  const parameters = layers.reduce((total, layer) => total + layer.parameters, facts.head.parameters);
  document.getElementById("about").textContent =
    `${facts.model ? `The network ${facts.model}` : "A network"}, with ${plural(parameters, "parameter")}, looks at two images through the same weights.`;
  const figures = [0, 1].map((twin) => {
    const mosaic = mapMosaic("value", "compare", 0, twin);
    return element("figure", {}, mosaic.canvas, element("figcaption", {}, names[twin]));
  });
  document.getElementById("pair").replaceChildren(figures[0], figures[1],
    element("div", {}, element("strong", {}, `P(same) = ${percent(modes.compare.p, 1)}`), element("br"), "that both show one character", element("br"),
      element("small", {}, `exactly ${modes.compare.p}`)));
  const choices = ["batch", "alone"].map((mode) => {
    const radio = element("input", { type: "radio", name: "mode", value: mode, checked: mode === backwardMode });
    radio.addEventListener("change", () => changeStep(mode));
    const what = mode === "alone" ? "this pair alone" : `${plural(modes.batch.pairs, "pair")}: this one and ${modes.batch.pairs - 1} of generated drawings`;
    return element("label", {}, radio, ` ${what}`);
  });
  document.getElementById("modes").append(...choices, element("small", {}, `label of this pair: ${sameOrNot()}`));
}

function changeStep(mode) {
  backwardMode = mode;
  drawStrip();
  if (chosen) choose(chosen.mode === "compare" ? chosen : { ...chosen, mode });
}

function drawStep() {
  const slider = document.getElementById("rate");
  slider.max = facts.steps.length - 1;
  const first = layers.findIndex((layer) => layer.kind === "conv" || layer.kind === "dense");
  const show = () => {
    const { rate, p, loss } = facts.steps[slider.value];
    document.getElementById("rate-is").textContent = rate;
    const before = facts.modes.compare;
    const [outs, ins, rows, columns] = shape(`w${first}`);
    const mosaic = (label, value, most) => {
      const cells = [];
      for (let out = 0; out < outs; out++) for (let from = 0; from < ins; from++) cells.push({ rows, columns, value: (a, b) => value(out, from, a, b) });
      const picture = new Mosaic({ cells, across: ins === 1 ? 4 : ins, size: ins === 1 ? 40 : 20, label, choosable: false, most });
      return element("figure", {}, picture.canvas, element("figcaption", {}, label), scaleOf(picture));
    };
    const most = largestOf(`w${first}`);
    const weight = (...entry) => at(`w${first}`, ...entry);
    const change = (...entry) => -rate * at(`batch/dw${first}`, ...entry);
    document.getElementById("step").replaceChildren(
      tableOf(["", "before", "after"], [
        ["P(same character) of this pair", percent(before.p, 2), percent(p, 2)],
        ["loss of the batch", shortly(facts.modes.batch.loss), loss === null ? "not a number" : shortly(loss)],
      ]),
      element("div", { className: "side" }, mosaic(`weights of ${layers[first].name}`, weight, most),
        mosaic("- rate dL/dw", change, rate * largestOf(`batch/dw${first}`)),
        mosaic("their sum: the weights after", (...entry) => weight(...entry) + change(...entry), most),
        element("figure", {}, stepChart(Number(slider.value)), element("figcaption", {}, "loss of the batch after the step, on a logarithmic scale, by rate"))),
      element("small", {}, "Even at rate 0, P changes: every step updates the running averages of batch norm, if there is one. P is of evaluation, as in compare; the loss is of training."),
      element("p", {}, "The rule: ", element("code", {}, facts.proofs["sgd.weight"].equation), ", then w <- w + v; here v starts at 0. ",
        element("small", {}, facts.proofs["sgd.weight"].place)));
    draw();
  };
  slider.addEventListener("input", show);
  show();
}

function stepChart(place) {
  const points = facts.steps.map(({ loss }, n) => [n, loss]);
  const logs = points.map(([n, loss]) => [n, loss > 0 ? Math.log10(loss) : null]);
  return chart({ curves: [{ points: logs, colour: "var(--plus)" }], place, ticks: facts.steps.map(({ rate }) => rate), power: true });
}

function drawBugs() {
  const select = document.getElementById("bugs");
  select.append(...facts.bugs.map(({ name }, n) => element("option", { value: n }, name)));
  const show = () => {
    const bug = facts.bugs[select.value];
    const i = bug.layer;
    const layer = layers[i];
    const name = bug.gradient === "dx" ? `batch/g${i}` : `batch/dw${i}`;
    const wrongName = `bug${select.value}`;
    const most = Math.max(largestOf(name), Math.min(largestOf(wrongName), 3 * largestOf(name)));
    const larger = largestOf(wrongName) / largestOf(name);
    const shown = [["right", (...place) => at(name, ...place)], ["with the bug", (...place) => at(wrongName, ...place)],
      ["difference", (...place) => at(wrongName, ...place) - at(name, ...place)]];
    document.getElementById("bug").replaceChildren(
      element("p", {}, element("b", {}, bug.story), ` Planted in ${layer.name}; you see its ${bug.gradient}`
        + `${bug.gradient === "dx" ? ", of the first twin" : ""}.`),
      element("div", { className: "side" }, ...shown.map(([label, value]) =>
        element("figure", {}, bugMosaic(label, name, value, most, bug).canvas, element("figcaption", {}, label)))),
      element("small", {}, `One scale for all, up to ${shortly(most)}.${larger > 3 ? ` The wrong gradient is up to ${shortly(Number(larger.toPrecision(2)))} times as large as the right one.` : ""}`),
      element("div", { className: "side" },
        element("div", {}, element("h3", {}, "The line"), element("pre", {}, bug.line), element("small", {}, bug.place)),
        element("div", {}, element("h3", {}, "The bug"), element("pre", {}, bug.code.join("\n")))),
      element("h3", {}, "Which checks find it"),
      tableOf(["check", "", "result"], bug.checks.map(({ check, finds, saw }) =>
        [check, element("span", { className: finds ? "found" : "missed" }, finds ? "\u2713 finds it" : "\u2717 misses it"), saw])));
    draw();
  };
  select.addEventListener("change", show);
  show();
}

function bugMosaic(label, name, value, most, bug) {
  const [outs, ins, rows, columns] = shape(name);
  const kernels = bug.gradient === "dweight";
  const cells = kernels
    ? Array.from({ length: outs * ins }, (_, n) => ({ rows, columns, value: (row, column) => value(Math.floor(n / ins), n % ins, row, column) }))
    : Array.from({ length: ins }, (_, channel) => ({ rows, columns, value: (row, column) => value(0, channel, row, column) }));
  return new Mosaic({ cells, across: kernels ? ins : 4, size: kernels ? 24 : 48, most, label, choosable: false });
}

function drawStart() {
  const record = facts.initialisation;
  const slider = document.getElementById("start-step");
  slider.max = record.literal.saturated.length - 1;
  const size = record.network.image_size;
  document.getElementById("start-about").textContent =
    `A record of the paper's network at ${size} x ${size} pixels: ${record.steps} steps on ${record.pairs} pairs of Omniglot's background set each, from `
    + `seed ${record.seed}, with the same pairs and rate for both. As printed: convolutions N(0, 0.01), dense layers N(0, 0.2), biases N(0.5, 0.01). `
    + "Corrected: He and Glorot, which divide by the number of inputs, and biases 0. A saturated sigmoid has a slope below 0.018, so hardly any gradient passes.";
  const names = { literal: "as printed", corrected: "corrected" };
  const show = () => {
    const place = Number(slider.value);
    document.getElementById("start-is").textContent = place * record.every;
    document.getElementById("start").replaceChildren(
      element("div", { className: "side" }, ...Object.entries(names).map(([init, name]) => {
        const run = record[init];
        return element("figure", {}, element("h3", {}, name), histogram(run.sigmoids[place]),
          element("figcaption", {}, `sigmoid outputs, 0 to 1: ${percent(run.saturated[place])} saturated`), element("br"),
          tableOf(["mean |h1 - h2|", ""], [["same character", run.same[place]], ["different", run.different[place]]]));
      }), element("figure", {}, element("h3", {}, "the loss"), chart({
        curves: [{ points: running(record.literal.loss), colour: "var(--minus)", label: "as printed", above: true },
          { points: running(record.corrected.loss), colour: "var(--plus)", label: "corrected" }],
        place: place * record.every, level: { value: Math.LN2, label: "0.693, chance" }, least: 0.45, ticks: null,
      }), element("figcaption", {}, "10-step moving average"))));
  };
  slider.addEventListener("input", show);
  show();
}

function running(losses) {
  return losses.map((_, n) => {
    const part = losses.slice(Math.max(0, n - 9), n + 1);
    return [n, part.reduce((sum, loss) => sum + loss, 0) / part.length];
  });
}

function svg(tag, properties = {}, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(properties)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

// A line chart. curves: {points: [x, y], colour, label}. place: where the slider stands. power: y is a power of ten.
function chart({ curves, place, ticks, level, least, power = false }) {
  const [width, height, left, bottom] = [340, 180, 44, 22];
  const all = curves.flatMap(({ points }) => points).filter(([, y]) => y !== null);
  const right = Math.max(...all.map(([x]) => x)) || 1;
  const low = least ?? Math.floor(Math.min(...all.map(([, y]) => y)));
  const top = power ? Math.ceil(Math.max(...all.map(([, y]) => y))) : Math.max(level ? level.value * 1.1 : 0, ...all.map(([, y]) => y)) || 1;
  const x = (value) => left + value / right * (width - left - 12);
  const y = (value) => height - bottom - (value - low) / (top - low || 1) * (height - bottom - 12);
  const drawing = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img",
    "aria-label": curves.map(({ points, label }) => `${label ?? "loss"} from ${shortly(points[0][1])} to ${shortly(points.at(-1)[1])}`).join("; ") });
  const values = power ? Array.from({ length: top - low + 1 }, (_, n) => low + n) : [low, (low + top) / 2, top];
  for (const value of values) drawing.append(
    svg("line", { x1: left, x2: width - 12, y1: y(value), y2: y(value), class: "axis" }),
    svg("text", { x: left - 5, y: y(value) + 4, "text-anchor": "end" }, shortly(power ? 10 ** value : Number(value.toPrecision(2)))));
  const labels = ticks ? ticks.map((tick, n) => [n, tick]) : [0, right / 2, right].map((value) => [value, Math.round(value)]);
  for (const [value, label] of labels) drawing.append(svg("text", { x: x(value), y: height - 6, "text-anchor": "middle" }, label));
  if (level) drawing.append(
    svg("line", { x1: left, x2: width - 12, y1: y(level.value), y2: y(level.value), stroke: "var(--soft)", "stroke-dasharray": "4 3" }),
    svg("text", { x: left + 40, y: y(level.value) - 4 }, level.label));
  drawing.append(svg("line", { x1: x(place), x2: x(place), y1: 8, y2: height - bottom, stroke: "var(--mark)" }));
  curves.forEach(({ points, colour: stroke, label, above }, n) => {
    const line = points.filter(([, value]) => value !== null).map(([a, b]) => `${x(a)},${y(b)}`).join(" ");
    drawing.append(svg("polyline", { points: line, class: "curve", stroke, "stroke-dasharray": n ? "6 2" : "none" }));
    if (label) {
      const last = points.slice(-30).map(([, value]) => y(value));
      const baseline = above ? Math.min(...last) - 6 : Math.max(...last) + 14;
      drawing.append(svg("text", { x: width - 14, y: baseline, "text-anchor": "end" }, label));
    }
  });
  return drawing;
}

function histogram(counts) {
  const [width, height] = [220, 90];
  const most = Math.max(...counts);
  const bars = counts.map((count, n) => svg("rect", { x: n * width / counts.length, width: width / counts.length - 1,
    y: height - count / most * height, height: count / most * height, fill: "var(--plus)" }));
  return svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${counts[0]} of ${counts.reduce((sum, count) => sum + count, 0)} near 0, ${counts.at(-1)} near 1` }, ...bars);
}

function drawTable() {
  const share = (value) => (value === null ? null : element("span", { className: "n" }, percent(value)));
  const rows = layers.map((layer) => [layer.name, layer.type, layer.shape, layer.parameters || null,
    layer.flops === null ? null : layer.flops / 1e6, layer.ms, layer.backwardMs, layer.spread, share(layer.dead), share(layer.saturated), layer.dy]);
  rows.push(["head", facts.head.type, `N=${facts.modes.batch.pairs}`, facts.head.parameters, null, facts.head.ms, facts.head.backwardMs, null, null, null, Math.abs(facts.modes.batch.dlogit)]);
  document.getElementById("layers").replaceChildren(tableOf(
    ["layer", "", "y in the step", "parameters", "Mflop an image", "ms", "ms back", "spread of y", "dead", "saturated", "|dy|"], rows),
  element("p", {}, element("small", {}, "Times of the step on the batch, on the machine that made this page. spread: standard deviation. "
    + "dead: channels that are 0 everywhere in the batch. saturated: sigmoids with |x| > 4.")));
}

function drawLeftOut() {
  const hidden = layers.map((_, i) => otherChannels(i + 1)).filter((count, i) => count && layers[i].kind in { conv: 1, dense: 1 });
  const shown = Math.max(...facts.channels.map((each) => each.length));
  const lines = [
    hidden.length ? `Of each layer it shows ${shown} channels: those without which, to first order, the loss would change most `
      + "(the largest |y dy|, summed over both pictures). The others stand as one term in every sum, computed separately in float64."
      : "It shows every channel of every layer.",
    "The other pairs of the batch are not shown, only what they add to the sums. Through batch norm's mean and variance they also have a part in this pair's own gradients.",
    "The way forward is evaluation, as compare computes it; the step is training, where batch norm takes its statistics from the batch. "
      + "So the x of a gradient is not always the number that stands above it.",
    "The lines of code are the definitions in scratchnet/ops and the layers. What runs is often a faster form of the same sum, which rounds differently; tests hold it against the definition.",
    "Momentum, weight decay, the random warps of training, and the reading of the pictures before they are arrays.",
  ];
  document.getElementById("left-out").replaceChildren(...lines.map((line) => element("li", {}, line)));
}

// The largest output of a layer, to begin with.
function brightest(value) {
  const [, , rows, columns] = shape(`compare/v${value}`);
  const pixels = grid(rows, columns, (row, column) => ({ what: "value", mode: "compare", value, twin: 0, channel: 0, row, column })).flat();
  return pixels.reduce((best, pixel) => (Math.abs(number(pixel)) > Math.abs(number(best)) ? pixel : best));
}

function start() {
  readPalette();
  drawHeader();
  drawStrip();
  drawStep();
  drawBugs();
  drawStart();
  drawTable();
  drawLeftOut();
  choose(brightest(layers.findIndex((layer) => layer.kind in { conv: 1, dense: 1 }) + 1));
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  window.matchMedia("print").addEventListener("change", drawAll);
  window.addEventListener("resize", drawAll);
  document.getElementById("wait").remove();
  document.documentElement.dataset.ready = "yes";
}

unpack().then(start).catch((error) => {
  document.getElementById("wait").textContent += ` (${error})`;
});
