  // A page of one map: all kinds of edits in the heatmap; below it variants, genes and tracks.
  const LANE = 16, SIGNAL = 44, GOOD = '#0a6b3d', DARK = '#3b4754';

  class Page extends Viewer {
    constructor(root) {
      super(root);
      this.on('as-png', 'click', () => this.savePng());
      window.addEventListener('hashchange', () => this.jump());
      this.jump();
    }

    jump() {
      const asked = /^#r(\d+)$/.exec(location.hash), select = this.find('region');
      if (!asked || Number(asked[1]) >= this.map.regions.length) return;
      select.value = asked[1];
      this.open();
      this.root.scrollIntoView();
    }

    open(stay) {
      const track = Number(this.find('track').value), region = this.map.regions[Number(this.find('region').value)];
      this.region = region;
      this.track = track;
      this.length = region.sequence.length;
      this.effects = unpack(region.effects[track], 4);
      const kept = key => (region[key] ? unpack(region[key][track], key === 'deletions' ? 1 : 4) : null);
      const deletions = kept('deletions'), insertions = kept('insertions');
      this.kinds = [...BASES].map((base, row) => ({ label: base, base, at: i => this.effects[i][row] }));
      if (deletions) this.kinds.push({ label: 'del', at: i => deletions[i][0] });
      if (insertions) this.kinds.push(...[...BASES].map((base, row) => ({ label: '+' + base, at: i => insertions[i][row] })));
      const sum = row => row.reduce((total, value) => total + (Number.isNaN(value) ? 0 : value), 0);
      const own = (row, i) => row[BASES.indexOf(region.sequence[i])] || 0;
      this.height = this.effects.map(this.map.own ? own : row => -sum(row) / 3);
      this.weight = this.map.own ? this.height.map(Math.abs) : this.effects.map(row => sum(row.map(Math.abs)) / 3);
      const largest = values => values.reduce((most, row) => row.reduce((m, v) => Math.max(m, Math.abs(v) || 0), most), 1e-9);
      const full = [largest(this.effects), largest(deletions || []), largest(insertions || [])];
      this.largest = this.kinds.map(kind => full[kind.base ? 0 : kind.label === 'del' ? 1 : 2]);
      const words = [`${this.map.own ? 'contributions' : 'substitutions'} ±${full[0].toPrecision(3)}`];
      if (deletions) words.push(`deletions ±${full[1].toPrecision(3)}`);
      if (insertions) words.push(`insertions ±${full[2].toPrecision(3)}`);
      this.find('space').textContent = `(${this.map.space[track]}; full colour at ${words.join(', ')})`;
      this.signals = (region.signals || []).map(lane => (lane.values ? { ...lane, values: unpack(lane.values, 1).map(row => row[0]) } : lane));
      this.genes = this.stack(region.genes || []);
      if (stay) { this.draw(); return this.say(); }
      const width = clamp(Math.floor((this.picture.clientWidth - LEFT) / 9), CLOSEST, this.length), first = this.strongest(width);
      this.at = { position: this.weight.indexOf(Math.max(...this.weight)), row: 0 };
      this.show(first, first + width);
    }

    // Genes that do not overlap share a line.
    stack(genes) {
      const ends = [];
      return genes.map(gene => {
        let line = ends.findIndex(end => end < gene.start);
        if (line < 0) line = ends.length;
        ends[line] = gene.end;
        return { ...gene, line };
      });
    }

    rows() { return this.kinds.length; }
    value(position, row) { return this.kinds[row].at(position); }
    x(base) { return LEFT + (base - this.region.start - this.first) * this.step; }

    draw() {
      this.width = this.picture.clientWidth;
      if (!this.width || !this.kinds) return;
      const variants = (this.region.variants || []).length ? LANE + 4 : 0;
      const lines = this.genes.reduce((most, gene) => Math.max(most, gene.line + 1), 0);
      const height = STRIP + LOGO + this.rows() * ROW + AXIS + variants + lines * 2 * LANE
        + this.signals.reduce((sum, lane) => sum + (lane.values ? SIGNAL : LANE) + LANE, 0) + 4;
      const svg = document.createElementNS(NS, 'svg');
      for (const [key, value] of Object.entries({
        xmlns: NS, width: this.width, height, viewBox: `0 0 ${this.width} ${height}`, 'font-family': 'sans-serif', 'font-size': 12, fill: INK,
      })) svg.setAttribute(key, value);
      shape(svg, 'rect', { width: this.width, height, fill: '#ffffff' });
      this.step = (this.width - LEFT) / (this.last - this.first);
      this.drawStrip(svg);
      this.drawLogo(svg);
      this.drawHeat(svg);
      let y = STRIP + LOGO + this.rows() * ROW;
      this.drawAxis(svg, y);
      y += AXIS;
      if (variants) this.drawVariants(svg, y);
      y += variants;
      this.drawGenes(svg, y);
      y += lines * 2 * LANE;
      for (const lane of this.signals) y = this.drawTrack(svg, lane, y);
      this.cursor = shape(svg, 'rect', { fill: 'none', stroke: INK, 'stroke-width': 2, width: Math.max(this.step, 4), height: ROW, visibility: 'hidden' });
      this.svg = svg;
      this.picture.replaceChildren(svg);
      this.mark();
    }

    drawStrip(svg) {
      super.drawStrip(svg);
      const step = (this.width - LEFT) / this.length;
      for (const { start } of this.region.variants || []) {
        shape(svg, 'rect', { x: LEFT + (start - this.region.start) * step, y: STRIP - 8, width: Math.max(step, 1.5), height: 4, fill: GOOD });
      }
    }

    drawHeat(svg) {
      if (this.step >= 1.5) return this.drawCells(svg);
      const columns = Math.floor(this.width - LEFT), bases = (this.last - this.first) / columns;
      this.kinds.forEach((kind, row) => {
        const y = STRIP + LOGO + row * ROW;
        shape(svg, 'text', { x: LEFT - 6, y: y + 15, 'text-anchor': 'end' }, kind.label);
        for (let column = 0; column < columns; column++) {  // of the bases of a pixel that with the largest effect
          let most = NaN;
          const from = Math.floor(this.first + column * bases), to = Math.max(from + 1, Math.floor(this.first + (column + 1) * bases));
          for (let i = from; i < to && i < this.last; i++) {
            const value = kind.at(i);
            if (!(Math.abs(value) <= Math.abs(most))) most = Number.isNaN(value) ? most : value;
          }
          shape(svg, 'rect', { x: LEFT + column, y, width: 1.2, height: ROW, fill: tint(most, this.largest[row]) });
        }
      });
    }

    drawCells(svg) {
      this.kinds.forEach((kind, row) => {
        const y = STRIP + LOGO + row * ROW;
        shape(svg, 'text', { x: LEFT - 6, y: y + 15, 'text-anchor': 'end' }, kind.label);
        for (let i = this.first; i < this.last; i++) {
          const x = LEFT + (i - this.first) * this.step;
          if (kind.base && kind.base === this.region.sequence[i]) {
            shape(svg, 'circle', { cx: x + this.step / 2, cy: y + ROW / 2, r: Math.min(2, this.step / 3), fill: '#8a8f98' });
          } else {
            shape(svg, 'rect', { x: x.toFixed(2), y, width: (this.step + 0.3).toFixed(2), height: ROW, fill: tint(kind.at(i), this.largest[row]) });
          }
        }
      });
    }

    drawVariants(svg, y) {
      shape(svg, 'text', { x: LEFT - 6, y: y + 12, 'text-anchor': 'end', 'font-size': 10 }, 'var');
      for (const variant of this.region.variants) {
        const x = this.x(variant.start + 0.5);
        if (x < LEFT || x > this.width) continue;
        const effect = this.effectOf(variant), fill = effect === null ? '#ffffff' : tint(effect, this.largest[0]);
        shape(svg, 'path', { d: `M${x} ${y}l6 12h-12Z`, fill, stroke: DARK, class: 'variant' });
      }
    }

    // What is said of a variant: its score for what is chosen, else the map's own effect of the same edit.
    effectOf(variant) {
      const score = variant.scores ? variant.scores[this.track] : null;
      if (score !== null && score !== undefined) return score;
      if (this.map.own) return null;
      const i = variant.start - this.region.start, row = BASES.indexOf(variant.alt);
      if (variant.ref.length !== 1 || row < 0 || variant.alt.length !== 1 || this.region.sequence[i] !== variant.ref.toUpperCase()) return null;
      const value = this.effects[i][row];
      return Number.isNaN(value) ? null : value;
    }

    drawGenes(svg, y) {
      for (const gene of this.genes) {
        const top = y + gene.line * 2 * LANE, from = clamp(this.x(gene.start), LEFT, this.width), to = clamp(this.x(gene.end), LEFT, this.width);
        if (to <= from) continue;
        shape(svg, 'path', { d: `M${from} ${top + 8}H${to}`, stroke: DARK, class: 'gene' });
        for (const [start, end] of gene.exons) {
          const low = clamp(this.x(start), LEFT, this.width), high = clamp(this.x(end), LEFT, this.width);
          if (high > low) shape(svg, 'rect', { x: low, y: top + 5, width: high - low, height: 6, fill: '#8fa3b8' });
          if (!gene.coding) continue;
          const first = clamp(this.x(Math.max(start, gene.coding[0])), LEFT, this.width), last = clamp(this.x(Math.min(end, gene.coding[1])), LEFT, this.width);
          if (last > first) shape(svg, 'rect', { x: first, y: top + 2, width: last - first, height: 12, fill: DARK });
        }
        shape(svg, 'text', { x: from + 2, y: top + 2 * LANE - 5, fill: SOFT, 'font-size': 11 }, gene.name + (gene.strand > 0 ? ' →' : gene.strand < 0 ? ' ←' : ''));
      }
    }

    drawTrack(svg, lane, y) {
      shape(svg, 'text', { x: LEFT, y: y + 12, fill: SOFT, 'font-size': 11 }, lane.name + (lane.values ? `, 0 to ${this.most(lane).toPrecision(3)}` : ''));
      y += LANE;
      if (!lane.values) {
        for (const [start, end] of lane.spans) {
          const low = clamp(this.x(start), LEFT, this.width), high = clamp(this.x(end), LEFT, this.width);
          if (high > low) shape(svg, 'rect', { x: low, y: y + 2, width: Math.max(high - low, 1), height: LANE - 6, fill: '#1f5fa8' });
        }
        return y + LANE;
      }
      const top = this.most(lane), base = y + SIGNAL - 4, found = [];
      lane.values.forEach((value, i) => {
        const low = clamp(this.x(lane.first + i * lane.bin), LEFT, this.width), high = clamp(this.x(lane.first + (i + 1) * lane.bin), LEFT, this.width);
        if (high > low && !Number.isNaN(value)) found.push(`M${low.toFixed(1)} ${base}V${(base - Math.max(0, value) / top * (SIGNAL - 8)).toFixed(1)}H${high.toFixed(1)}V${base}Z`);
      });
      shape(svg, 'path', { d: found.join('') || `M${LEFT} ${base}`, fill: '#1f5fa8', class: 'signal' });
      shape(svg, 'path', { d: `M${LEFT} ${base}H${this.width}`, stroke: '#8a8f98', 'stroke-width': 0.6 });
      return y + SIGNAL;
    }

    most(lane) { return lane.values.reduce((top, value) => Math.max(top, value || 0), 1e-9); }

    edit(position, row) {
      const kind = this.kinds[row], base = this.region.sequence[position];
      const change = this.map.own ? `${kind.base} would contribute` : `${base}→${kind.base}`;
      if (kind.base) return base === kind.base ? `${base}, the base that is there` : `${change}: ${number(kind.at(position))}`;
      const what = kind.label === 'del' ? `${base} removed` : `${kind.label.slice(1)} put in before ${base}`;
      return `${what}: ${number(kind.at(position))}`;
    }

    say() {
      const { position, row } = this.at, place = this.region.start + position, words = [];
      words.push(`${this.region.contig}:${(place + 1).toLocaleString('en')} (counted from 1)`, this.edit(position, row));
      words.push(this.map.own ? `contribution: ${number(this.height[position])}` : `mean of the three: ${number(-this.height[position])}`);
      for (const lane of this.signals) {
        if (!lane.values) continue;
        const value = lane.values[Math.floor((place - lane.first) / lane.bin)];
        words.push(`${lane.name} ${value === undefined || Number.isNaN(value) ? 'none' : value.toPrecision(3)}`);
      }
      for (const gene of this.region.genes || []) if (gene.start <= place && place < gene.end) words.push(gene.name);
      for (const variant of this.region.variants || []) {
        if (variant.start !== position + this.region.start) continue;
        const effect = this.effectOf(variant), known = variant.scores && variant.scores[this.track] !== null;
        words.push(`${variant.set} ${variant.id === '.' ? '' : variant.id + ' '}${variant.ref}→${variant.alt}` + (effect === null ? '' : ` ${known ? variant.effect : 'effect'} ${number(effect)}`));
      }
      words.push(this.map.tracks[this.track], `${this.first + 1}–${this.last} of ${this.length} bp in view`);
      this.find('readout').textContent = words.join(' · ');
    }

    // The wheel zooms, with shift it moves; where nothing is left to zoom out of, the page scrolls.
    wheel(event) {
      const by = event.deltaY || event.deltaX;
      if (!by || (by > 0 && !event.shiftKey && this.last - this.first === this.length)) return;
      event.preventDefault();
      if (event.shiftKey) return this.move(by > 0 ? 0.2 : -0.2);
      const { x } = this.where(event);
      this.zoom(by > 0 ? 1.25 : 0.8, this.first + clamp((x - LEFT) / this.step, 0, this.last - this.first));
    }

    savePng() {
      const picture = new Image(), scale = 2;
      picture.onload = () => {
        const canvas = document.createElement('canvas');
        canvas.width = picture.width * scale;
        canvas.height = picture.height * scale;
        canvas.getContext('2d').drawImage(picture, 0, 0, canvas.width, canvas.height);
        canvas.toBlob(blob => save(blob, 'image/png', this.file('.png')));
      };
      picture.src = 'data:image/svg+xml;charset=utf-8,' + encodeURIComponent(new XMLSerializer().serializeToString(this.svg));
    }

    // All edits of the part in view; starts count from 0, as in BED; an insertion has no length.
    saveTsv() {
      const clean = text => String(text).replace(/[\t\r\n]+/g, ' '), lines = ['#contig\tstart\tend\tref\talt\teffect\ttrack'];
      for (let i = this.first; i < this.last; i++) {
        const start = this.region.start + i, base = this.region.sequence[i];
        for (const kind of this.kinds) {
          const value = kind.at(i), put = kind.label[0] === '+';
          if (Number.isNaN(value) || kind.base === base) continue;
          const change = put ? [start, start, '-', kind.label[1]] : [start, start + 1, base, kind.base || '-'];
          lines.push([clean(this.region.contig), ...change, value.toPrecision(5), clean(this.map.tracks[this.track])].join('\t'));
        }
      }
      save(lines.join('\n') + '\n', 'text/tab-separated-values', this.file('.tsv'));
    }
  }

  document.documentElement.classList.add('live');
  document.querySelectorAll('.viewer').forEach(root => new Page(root));
})();
