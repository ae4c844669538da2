"use strict";
(() => {
  const told = document.getElementById("cuts");
  if (!told) return;
  const data = JSON.parse(told.textContent), slider = document.getElementById("cut-at");
  const rows = document.getElementById("picture-rows"), lines = document.getElementById("picture-ellipses");
  const said = document.getElementById("said"), keys = document.getElementById("keys");
  const tree = document.getElementById("tree"), own = rows.getAttribute("href");
  const table = Array.from({length: 256}, (_, n) => {
    for (let j = 0; j < 8; j++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
    return n >>> 0;
  });
  // The picture of leaves is a PNG with a palette: other clusters are other colours in that.
  const leaves = data.leaves && Uint8Array.from(atob(data.leaves), c => c.charCodeAt(0));
  const recoloured = groups => {
    const bytes = leaves.slice(), view = new DataView(bytes.buffer);
    let at = 8;
    while (String.fromCharCode(...bytes.subarray(at + 4, at + 8)) !== "PLTE") at += 12 + view.getUint32(at);
    groups.forEach((group, leaf) => {
      const rgb = parseInt(data.colours[group].slice(1), 16), place = at + 8 + 3 * (leaf + 1);
      bytes.set([rgb >> 16, (rgb >> 8) & 255, rgb & 255], place);
    });
    const end = at + 8 + view.getUint32(at);
    let crc = 0xffffffff;
    for (let j = at + 4; j < end; j++) crc = table[(crc ^ bytes[j]) & 255] ^ (crc >>> 8);
    view.setUint32(end, (crc ^ 0xffffffff) >>> 0);
    let text = "";
    for (let j = 0; j < bytes.length; j += 8192) text += String.fromCharCode(...bytes.subarray(j, j + 8192));
    return "data:image/png;base64," + btoa(text);
  };
  const show = k => {
    const cut = data.cuts[k - 1];
    if (leaves) rows.setAttribute("href", k === data.k ? own : recoloured(cut.groups));
    lines.replaceChildren(...cut.ellipses.map(([cluster, x, y, rx, ry, angle]) => {
      const made = document.createElementNS("http://www.w3.org/2000/svg", "ellipse");
      for (const [name, value] of Object.entries({rx, ry, stroke: data.colours[cluster],
        transform: `translate(${x} ${y}) rotate(${angle})`})) made.setAttribute(name, value);
      return made;
    }));
    keys.replaceChildren(...Array.from({length: k}, (_, cluster) => {
      const item = document.createElement("li"), dot = document.createElement("span");
      dot.className = "dot"; dot.style.background = data.colours[cluster];
      item.append(dot, `cluster ${cluster}`);
      return item;
    }));
    slider.value = k;
    said.textContent = k === data.k ? `${k} clusters, as fitted`
      : `${k} cluster${k > 1 ? "s" : ""}: divmix cut ${data.run} -k ${k} -o DIR`;
    const step = +tree.dataset.step, at = 220 - (tree.dataset.leaves - k + 0.5) * step;
    document.getElementById("cut").setAttribute("d", `M0 ${at}H600`);
  };
  slider.addEventListener("input", () => show(+slider.value));
  tree.addEventListener("click", event => event.target.dataset.k && show(+event.target.dataset.k));
})();
