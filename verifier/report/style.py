"""How the page looks: on a screen, on a small one, on paper."""

from __future__ import annotations

CSS = """
:root { color: #1c1c1c; background: #fff; }
* { box-sizing: border-box; }
body {
  font: 16px/1.55 Georgia, "Times New Roman", "Liberation Serif", serif;
  max-width: 47rem; margin: 0 auto; padding: 2rem 1.25rem 4rem;
}
h1, h2, h3, th, dt, caption, figcaption, nav, footer, .verdict strong, svg text {
  font-family: "Helvetica Neue", Helvetica, Arial, "Liberation Sans", sans-serif;
}
h1 { font-size: 1.75rem; line-height: 1.2; margin: 0 0 .25rem; }
h2 { font-size: 1.2rem; margin: 2.25rem 0 .5rem; padding-top: .6rem;
  border-top: 1px solid #c8c8c8; }
h3 { font-size: 1rem; margin: 1.4rem 0 .4rem; }
p, ul, dl { margin: .6rem 0; }
ul { padding-left: 1.25rem; }
li { margin: .35rem 0; }
a { color: #1d4f7c; }
.sub { color: #555; margin: 0 0 1.25rem; }
.verdict { border: 1px solid; border-left-width: 10px; padding: .9rem 1.1rem;
  margin: 1rem 0 1.5rem; }
.verdict strong { display: block; font-size: 1.35rem; letter-spacing: .04em; }
.verdict p { margin: .35rem 0 0; color: #1c1c1c; }
.good { border-color: #1e6b3a; color: #1e6b3a; background: #f3f8f4; }
.bad { border-color: #9b1c1c; color: #9b1c1c; background: #fbf3f3; }
code, .hex, pre {
  font-family: Menlo, Consolas, "Liberation Mono", monospace; font-size: .84em;
  overflow-wrap: anywhere;
}
dd code { font-size: .78em; }
pre { background: #f5f5f5; border: 1px solid #ddd; padding: .7rem .9rem; white-space: pre-wrap; }
dl > div { display: grid; grid-template-columns: 11.5rem 1fr; gap: .1rem 1rem; padding: .3rem 0;
  border-bottom: 1px solid #ececec; }
dt { color: #555; font-size: .9rem; }
dd { margin: 0; min-width: 0; overflow-wrap: anywhere; }
.wide { overflow-x: auto; margin: .8rem 0 1.2rem; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
caption { text-align: left; color: #555; font-size: .85rem; padding-bottom: .4rem; }
th, td { text-align: left; vertical-align: top; padding: .3rem .75rem .3rem 0;
  border-bottom: 1px solid #e4e4e4; }
thead th { border-bottom: 1px solid #777; font-size: .82rem; }
tbody th { font-weight: 400; font-family: inherit; }
.numbers td, .numbers thead th + th { text-align: right; padding-right: .5rem;
  font-variant-numeric: tabular-nums; white-space: nowrap; }
.numbers td { font-size: .82rem; }
.pictures { display: flex; flex-wrap: wrap; gap: .75rem; margin: .8rem 0; }
figure { margin: 0; }
.pictures figure { width: 6rem; }
.pictures img { width: 6rem; height: auto; border: 1px solid #bbb; image-rendering: pixelated;
  display: block; }
figcaption { font-size: .78rem; color: #444; }
svg { width: 100%; height: auto; display: block; }
svg text { font-size: 12px; fill: #444; }
.grid { stroke: #d9d9d9; stroke-width: 1; }
.curve { fill: none; stroke: #1d4f7c; stroke-width: 1.6; }
footer { margin-top: 2.5rem; border-top: 1px solid #c8c8c8; padding-top: .6rem; color: #555;
  font-size: .82rem; }
@media (max-width: 34rem) {
  body { padding: 1.25rem .9rem 3rem; }
  dl > div { grid-template-columns: 1fr; }
  h1 { font-size: 1.45rem; }
}
@media print {
  @page { size: A4; margin: 18mm 16mm 20mm; }
  body { font-size: 10.5pt; max-width: none; padding: 0; }
  h2, h3, caption { break-after: avoid; }
  tr, figure, .verdict, dl > div, li, pre { break-inside: avoid; }
  .wide { overflow: visible; }
  .verdict, .good, .bad, pre { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  .numbers td, .numbers th { font-size: 7.5pt; padding-right: .2rem; }
}
""".strip()
