'use strict';
// Draws the mutagenesis maps of this page: a strip of the whole region, and below it a sequence logo over a heatmap of
// the part in view. Reads the JSON block "map-data"; text from it is only ever set as text.
(() => {
  const NS = 'http://www.w3.org/2000/svg', BASES = 'ACGT', GAP = -32768;
  const COLOURS = { A: '#007a5a', C: '#0072b2', G: '#a86f00', T: '#b3321a' };
  const INK = '#22272e', SOFT = '#57606a', LOW = [31, 95, 168], MID = [247, 247, 247], HIGH = [196, 78, 12];
  const LEFT = 36, STRIP = 44, LOGO = 130, ROW = 22, AXIS = 26, CLOSEST = 8;
  const book = JSON.parse(document.getElementById('map-data').textContent);

  const number = value => (Number.isNaN(value) ? 'none' : (value > 0 ? '+' : '') + value.toFixed(3)).replace('-', '−');
  const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

  function unpack(packed, rows) {
    const bytes = Uint8Array.from(atob(packed.bytes), letter => letter.charCodeAt(0)), view = new DataView(bytes.buffer);
    const value = i => { const whole = view.getInt16(2 * i, true); return whole === GAP ? NaN : whole * packed.scale; };
    return Array.from({ length: bytes.length / 2 / rows }, (_, i) => Array.from({ length: rows }, (_, j) => value(i * rows + j)));
  }

  function shape(parent, tag, attributes, text) {
    const made = document.createElementNS(NS, tag);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    parent.append(made);
    return made;
  }

  function tint(value, largest) {
    if (Number.isNaN(value)) return '#ffffff';
    const share = clamp(value / (largest || 1), -1, 1), end = share > 0 ? HIGH : LOW;
    return `rgb(${MID.map((m, i) => Math.round(m + (end[i] - m) * Math.abs(share))).join(' ')})`;
  }

  function save(text, kind, name) {
    const link = document.createElement('a');
    link.href = URL.createObjectURL(new Blob([text], { type: kind }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }

  class Viewer {
    constructor(root) {
      this.root = root;
      this.map = book.maps[Number(root.dataset.map)];
      this.find = name => root.querySelector('.' + name);
      this.picture = this.find('picture');
      this.fill('region', this.map.regions.map((region, i) => `${i + 1}. ${region.name || region.contig}`));
      this.fill('track', this.map.tracks);
      this.on('region', 'change', () => this.open());
      this.on('track', 'change', () => this.open(true));
      this.on('closer', 'click', () => this.zoom(0.5));
      this.on('wider', 'click', () => this.zoom(2));
      this.on('whole', 'click', () => this.show(0, this.length));
      this.on('left', 'click', () => this.move(-0.5));
      this.on('right', 'click', () => this.move(0.5));
      this.on('as-svg', 'click', () => this.saveSvg());
      this.on('as-tsv', 'click', () => this.saveTsv());
      this.picture.addEventListener('keydown', event => this.key(event));
      this.picture.addEventListener('focus', () => this.say());
      this.picture.addEventListener('pointerdown', event => this.grab(event));
      this.picture.addEventListener('pointermove', event => this.hover(event));
      this.picture.addEventListener('pointerup', () => { this.held = null; });
      this.picture.addEventListener('wheel', event => this.wheel(event), { passive: false });
      new ResizeObserver(() => { if (this.picture.clientWidth !== this.width) this.draw(); }).observe(this.picture);
      this.open();
    }

    on(name, event, act) { this.find(name).addEventListener(event, act); }

    fill(name, labels) {
      labels.forEach((label, i) => {
        const option = document.createElement('option');
        option.value = i;
        option.textContent = label;
        this.find(name).append(option);
      });
    }

    open(stay) {
      const track = Number(this.find('track').value);
      this.region = this.map.regions[Number(this.find('region').value)];
      this.track = track;
      this.length = this.region.sequence.length;
      this.effects = unpack(this.region.effects[track], 4);
      this.deletions = this.region.deletions ? unpack(this.region.deletions[track], 1).map(row => row[0]) : null;
      const sum = row => row.reduce((total, value) => total + (Number.isNaN(value) ? 0 : value), 0);
      // Of attribution (own) a letter is the contribution of its base, of mutagenesis minus the mean of its three effects.
      const own = (row, i) => row[BASES.indexOf(this.region.sequence[i])] || 0;
      this.height = this.effects.map(this.map.own ? own : row => -sum(row) / 3);
      this.weight = this.map.own ? this.height.map(Math.abs) : this.effects.map(row => sum(row.map(Math.abs)) / 3);
      const largest = values => Math.max(...values.map(value => Math.abs(value) || 0), 1e-9);
      this.largest = [...Array(4).fill(largest(this.effects.flat())), largest(this.deletions || [])];
      const full = `±${this.largest[0].toFixed(2)}` + (this.deletions ? `, of deletions at ±${this.largest[4].toFixed(2)}` : '');
      this.find('space').textContent = this.map.space[track] ? `(${this.map.space[track]}; full colour at ${full})` : '';
      if (stay) return this.draw();
      const width = clamp(Math.floor((this.picture.clientWidth - LEFT) / 9), CLOSEST, this.length);
      const first = this.strongest(width);
      this.at = { position: this.weight.indexOf(Math.max(...this.weight)), row: 0 };
      this.show(first, first + width);
    }

    // Start of the stretch with the largest sum; of all that nearly have it the middle one, so that it is centred.
    strongest(width) {
      const before = [0];
      this.weight.forEach((value, i) => before.push(before[i] + value));
      const sums = before.slice(width).map((value, i) => value - before[i]), near = 0.95 * Math.max(...sums);
      let first = sums.indexOf(Math.max(...sums)), last = first;
      while (first > 0 && sums[first - 1] >= near) first--;
      while (last < sums.length - 1 && sums[last + 1] >= near) last++;
      return Math.round((first + last) / 2);
    }

    show(first, last) {
      const span = clamp(Math.round(last - first), Math.min(CLOSEST, this.length), this.length);
      this.first = clamp(Math.round(first), 0, this.length - span);
      this.last = this.first + span;
      this.draw();
      this.say();
    }

    zoom(factor, centre) {
      const span = this.last - this.first, middle = centre === undefined ? (this.first + this.last) / 2 : centre;
      const share = (middle - this.first) / span, next = clamp(span * factor, CLOSEST, this.length);
      this.show(middle - share * next, middle - share * next + next);
    }

    move(share) {
      const by = Math.round(share * (this.last - this.first)) || Math.sign(share);
      this.show(this.first + by, this.last + by);
    }

    rows() { return this.deletions ? 5 : 4; }

    draw() {
      this.width = this.picture.clientWidth;
      if (!this.width) return;
      const height = STRIP + LOGO + this.rows() * ROW + AXIS;
      const svg = document.createElementNS(NS, 'svg');
      for (const [key, value] of Object.entries({
        xmlns: NS, width: this.width, height, viewBox: `0 0 ${this.width} ${height}`, 'font-family': 'sans-serif', 'font-size': 12, fill: INK,
      })) svg.setAttribute(key, value);
      shape(svg, 'rect', { width: this.width, height, fill: '#ffffff' });
      this.step = (this.width - LEFT) / (this.last - this.first);
      this.drawStrip(svg);
      this.drawLogo(svg);
      this.drawHeat(svg);
      this.drawAxis(svg, STRIP + LOGO + this.rows() * ROW);
      this.cursor = shape(svg, 'rect', { fill: 'none', stroke: INK, 'stroke-width': 2, width: Math.max(this.step, 4), height: ROW, visibility: 'hidden' });
      this.svg = svg;
      this.picture.replaceChildren(svg);
      this.mark();
    }

    drawStrip(svg) {
      const step = (this.width - LEFT) / this.length, top = Math.max(...this.weight, 1e-9), base = STRIP - 8;
      shape(svg, 'rect', { x: LEFT + this.first * step, y: 0, width: (this.last - this.first) * step, height: base, fill: '#dbe6f2' });
      const points = this.weight.map((value, i) => `L${(LEFT + (i + 0.5) * step).toFixed(1)} ${(base - value / top * 32).toFixed(1)}`);
      shape(svg, 'path', { d: `M${LEFT} ${base}${points.join('')}L${this.width} ${base}`, fill: 'none', stroke: SOFT });
    }

    drawLogo(svg) {
      const seen = this.height.slice(this.first, this.last);
      const up = Math.max(0, ...seen), down = Math.max(0, ...seen.map(value => -value));
      const unit = (LOGO - 14) / Math.max(up + down, 1e-9), zero = STRIP + 4 + up * unit;
      shape(svg, 'path', { d: `M${LEFT} ${zero}H${this.width}`, stroke: '#8a8f98', 'stroke-width': 0.6 });
      seen.forEach((value, i) => {
        const base = this.region.sequence[this.first + i], tall = Math.abs(value) * unit;
        if (!(base in COLOURS) || tall < 0.4) return;
        const y = value > 0 ? zero - tall : zero + tall;
        shape(svg, 'path', {
          d: book.glyphs[base], fill: COLOURS[base], 'fill-rule': 'evenodd',
          transform: `translate(${(LEFT + i * this.step).toFixed(2)} ${y.toFixed(2)}) scale(${(this.step * 0.94).toFixed(3)} ${(value > 0 ? tall : -tall).toFixed(3)})`,
        });
      });
    }

    value(position, row) { return row === 4 ? this.deletions[position] : this.effects[position][row]; }

    drawHeat(svg) {
      const top = STRIP + LOGO;
      for (let row = 0; row < this.rows(); row++) {
        const y = top + row * ROW;
        shape(svg, 'text', { x: LEFT - 8, y: y + 15, 'text-anchor': 'end' }, row === 4 ? 'del' : BASES[row]);
        for (let i = this.first; i < this.last; i++) {
          const x = LEFT + (i - this.first) * this.step;
          if (row < 4 && this.region.sequence[i] === BASES[row]) {
            shape(svg, 'circle', { cx: x + this.step / 2, cy: y + ROW / 2, r: Math.min(2, this.step / 3), fill: '#8a8f98' });
          } else {
            const fill = tint(this.value(i, row), this.largest[row]);
            shape(svg, 'rect', { x: x.toFixed(2), y, width: (this.step + 0.3).toFixed(2), height: ROW, fill });
          }
        }
      }
    }

    drawAxis(svg, y) {
      const every = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000].find(n => n * this.step > 90) || 5000;
      for (let i = this.first; i < this.last; i++) {
        const place = this.region.start + i + 1;
        if (place % every === 0) {
          const x = LEFT + (i - this.first + 0.5) * this.step;
          shape(svg, 'path', { d: `M${x} ${y}v5`, stroke: SOFT });
          const anchor = x > this.width - 40 ? 'end' : 'middle';
          shape(svg, 'text', { x, y: y + 19, 'text-anchor': anchor, fill: SOFT }, place.toLocaleString('en'));
        }
      }
    }

    mark() {
      const { position, row } = this.at, inside = position >= this.first && position < this.last;
      this.cursor.setAttribute('visibility', inside ? 'visible' : 'hidden');
      this.cursor.setAttribute('x', LEFT + (position - this.first) * this.step);
      this.cursor.setAttribute('y', STRIP + LOGO + row * ROW);
    }

    say() {
      const { position, row } = this.at, base = this.region.sequence[position];
      const place = `${this.region.contig}:${(this.region.start + position + 1).toLocaleString('en')}`;
      const change = row === 4 ? `${base} removed` : `${base}→${BASES[row]}`;
      const other = this.map.own ? `${BASES[row]} would contribute` : change;
      const effect = base === BASES[row] ? `${base}, the base that is there` : `${other}: ${number(this.value(position, row))}`;
      const mean = this.map.own ? `contribution: ${number(this.height[position])}` : `mean of the three: ${number(-this.height[position])}`;
      const view = `${this.first + 1}–${this.last} of ${this.length} bp in view`;
      this.find('readout').textContent = `${place} · ${effect} · ${mean} · ${this.map.tracks[this.track]} · ${view}`;
    }

    point(position, row) {
      this.at = { position: clamp(position, 0, this.length - 1), row: clamp(row, 0, this.rows() - 1) };
      const span = this.last - this.first;
      if (this.at.position < this.first) this.show(this.at.position, this.at.position + span);
      else if (this.at.position >= this.last) this.show(this.at.position + 1 - span, this.at.position + 1);
      this.mark();
      this.say();
    }

    where(event) {
      const box = this.picture.getBoundingClientRect();
      return { x: event.clientX - box.left, y: event.clientY - box.top };
    }

    grab(event) {
      const { x, y } = this.where(event);
      if (y < STRIP) {
        const centre = (x - LEFT) / (this.width - LEFT) * this.length, half = (this.last - this.first) / 2;
        this.show(centre - half, centre + half);
      } else {
        this.held = { x, first: this.first };
        if (event.pointerType === 'touch') this.hover(event, true);
      }
    }

    hover(event, tapped) {
      const { x, y } = this.where(event), top = STRIP + LOGO;
      if (this.held && !tapped && event.buttons) {
        const first = this.held.first - Math.round((x - this.held.x) / this.step);
        if (first !== this.first) this.show(first, first + this.last - this.first);
      } else if (x > LEFT && x < this.width && y > STRIP) {
        this.at = {
          position: clamp(this.first + Math.floor((x - LEFT) / this.step), this.first, this.last - 1),
          row: y < top ? this.at.row : clamp(Math.floor((y - top) / ROW), 0, this.rows() - 1),
        };
        this.mark();
        this.say();
      }
    }

    wheel(event) {
      if (!event.ctrlKey) return;
      event.preventDefault();
      const { x } = this.where(event);
      this.zoom(event.deltaY > 0 ? 1.25 : 0.8, this.first + clamp((x - LEFT) / this.step, 0, this.last - this.first));
    }

    key(event) {
      const { position, row } = this.at, far = event.shiftKey ? 10 : 1;
      const acts = {
        ArrowLeft: () => this.point(position - far, row),
        ArrowRight: () => this.point(position + far, row),
        ArrowUp: () => this.point(position, row - 1),
        ArrowDown: () => this.point(position, row + 1),
        Home: () => this.point(0, row),
        End: () => this.point(this.length - 1, row),
        PageUp: () => this.move(-0.9),
        PageDown: () => this.move(0.9),
        '+': () => this.zoom(0.5, position),
        '=': () => this.zoom(0.5, position),
        '-': () => this.zoom(2, position),
        '0': () => this.show(0, this.length),
      };
      if (event.ctrlKey || event.metaKey || event.altKey || !(event.key in acts)) return;
      event.preventDefault();
      acts[event.key]();
    }

    file(ending) {
      const name = `${this.map.name}_${this.region.name || this.region.contig}_${this.map.tracks[this.track]}`;
      return name.replace(/[^A-Za-z0-9._+-]+/g, '_').slice(0, 120) + ending;
    }

    saveSvg() { save(new XMLSerializer().serializeToString(this.svg), 'image/svg+xml', this.file('.svg')); }

    saveTsv() {
      const clean = text => String(text).replace(/[\t\r\n]+/g, ' '), lines = ['#contig\tstart\tend\tref\talt\teffect\ttrack'];
      for (let i = 0; i < this.length; i++) {
        for (let row = 0; row < this.rows(); row++) {
          const base = this.region.sequence[i], value = this.value(i, row);
          if (Number.isNaN(value) || base === BASES[row]) continue;
          const place = [clean(this.region.contig), this.region.start + i, this.region.start + i + 1];
          lines.push([...place, base, row === 4 ? '-' : BASES[row], value.toPrecision(5), clean(this.map.tracks[this.track])].join('\t'));
        }
      }
      save(lines.join('\n') + '\n', 'text/tab-separated-values', this.file('.tsv'));
    }
  }

