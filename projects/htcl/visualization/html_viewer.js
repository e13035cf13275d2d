// Panel of the voxel viewer. Runs inside k3d's snapshot, where K3DInstance, fflate and _base64ToArrayBuffer exist;
// html_viewer.py puts the constant HTCL before this text (frames, classes, error categories, ids of the two k3d objects).

const state = { frame: 0, mode: 'prediction', hidden: new Set(), hiddenErrors: new Set(), seenOnly: false, camera: 'one' };
const MODES = { prediction: 'Prediction', truth: 'Ground truth', both: 'Side by side', errors: 'Errors' };
const unpacked = {};

// The grid of a frame as bytes; only the last frame is kept, so that long sequences fit into memory.
function grid(kind) {
    if (unpacked.frame !== state.frame) {
        Object.keys(unpacked).forEach((key) => delete unpacked[key]);
        unpacked.frame = state.frame;
    }
    const packed = HTCL.frames[state.frame][kind];
    if (packed && !unpacked[kind]) {
        unpacked[kind] = fflate.unzlibSync(new Uint8Array(_base64ToArrayBuffer(packed)));
    }
    return unpacked[kind];
}

// Labels to draw: hidden classes, unscored voxels and, if wished, voxels out of view become empty.
function visible(labels, hidden) {
    const inView = state.seenOnly ? grid('in_view') : null;
    return labels.map((label, i) => (
        label === HTCL.ignore || hidden.has(label) || (inView && !inView[i]) ? 0 : label
    ));
}

function show(place, labels, palette) {
    const json = K3DInstance.getWorld().ObjectsListJson[HTCL.ids[place]];
    const shape = labels ? HTCL.size : [1, 1, 1];
    json.voxels = { data: labels || new Uint8Array(1), shape };
    json.color_map = { data: Uint32Array.from(palette, (entry) => parseInt(entry.colour.slice(1), 16)), shape: [palette.length] };
    return K3DInstance.reload(json, { voxels: json.voxels, color_map: json.color_map });
}

// A camera that shows what HTCL.widths says, whatever the shape of the window: it moves back along its view until the
// upper near edge of the grid, where the picture is narrowest, fits.
function fitted(name) {
    const [eye, target, up] = [0, 3, 6].map((i) => HTCL.cameras[name].slice(i, i + 3));
    const view = target.map((value, i) => value - eye[i]);
    const length = Math.hypot(...view);
    const edge = [HTCL.near[0] - eye[0], 0, HTCL.near[1] - eye[2]];
    const depth = edge.reduce((sum, value, i) => sum + value * view[i], 0) / length;
    const place = K3DInstance.getWorld().targetDOMNode;
    const slope = Math.tan((HTCL.fieldOfView * Math.PI) / 360) * (place.offsetWidth / place.offsetHeight);
    const back = Math.max(0, HTCL.widths[name] / (2 * slope) - depth) / length;
    return [...eye.map((value, i) => value - back * view[i]), ...target, ...up];
}

// Draws the state. The page is marked busy meanwhile, for people (cursor) and for tests.
async function refresh() {
    document.body.dataset.busy = 'yes';
    document.body.style.cursor = 'progress';
    const hasTruth = HTCL.frames[state.frame].truth !== null;
    const mode = hasTruth ? state.mode : 'prediction';
    if (mode === 'errors') {
        await show(0, visible(grid('errors'), state.hiddenErrors), HTCL.errors);
    } else {
        await show(0, visible(grid(mode === 'both' ? 'prediction' : mode), state.hidden), HTCL.classes);
    }
    await show(1, mode === 'both' ? visible(grid('truth'), state.hidden) : null, HTCL.classes);
    // The user's own viewpoint stays, unless the second grid appears or goes.
    const camera = mode === 'both' ? 'both' : 'one';
    if (camera !== state.camera) {
        state.camera = camera;
        K3DInstance.setCamera(fitted(camera));
    }
    await K3DInstance.render(true);
    drawPanel(mode, hasTruth);
    document.body.style.cursor = '';
    document.body.dataset.busy = 'no';
}

function element(tag, attributes, ...children) {
    const node = Object.assign(document.createElement(tag), attributes);
    node.append(...children);
    return node;
}

function counts(mode) {
    const labels = grid(mode === 'both' ? 'prediction' : mode);
    const result = new Uint32Array(256);
    labels.forEach((label) => { result[label] += 1; });
    return result;
}

function drawPanel(mode, hasTruth) {
    const frame = HTCL.frames[state.frame];
    panel.replaceChildren();
    panel.append(element('b', { textContent: `Frame ${frame.name}` }), element('img', { src: frame.image, alt: 'input image' }));
    if (HTCL.frames.length > 1) {
        const slider = element('input', { type: 'range', id: 'frame', min: 0, max: HTCL.frames.length - 1, value: state.frame });
        slider.onchange = () => { state.frame = Number(slider.value); refresh(); };
        const step = (by) => () => {
            state.frame = (state.frame + by + HTCL.frames.length) % HTCL.frames.length;
            refresh();
        };
        panel.append(element('div', { className: 'row' },
            element('button', { textContent: '<', title: 'previous frame', id: 'previous', onclick: step(-1) }), slider,
            element('button', { textContent: '>', title: 'next frame', id: 'next', onclick: step(1) })));
    }
    const modes = element('div', { className: 'modes' });
    Object.entries(MODES).forEach(([key, title]) => {
        const button = element('button', { textContent: title, id: `mode-${key}`, disabled: !hasTruth && key !== 'prediction' });
        button.className = key === mode ? 'on' : '';
        button.onclick = () => { state.mode = key; refresh(); };
        modes.append(button);
    });
    const seen = element('input', { type: 'checkbox', id: 'seen-only', checked: state.seenOnly });
    seen.onchange = () => { state.seenOnly = seen.checked; refresh(); };
    panel.append(modes);
    if (mode === 'both') {
        panel.append(element('small', { textContent: 'left: prediction (counted below), right: ground truth' }));
    }
    const reset = element('button', { textContent: 'reset view', id: 'reset' });
    reset.onclick = () => K3DInstance.setCamera(fitted(state.camera));
    panel.append(element('label', {}, seen, 'only what is in view'));

    const entries = mode === 'errors' ? HTCL.errors : HTCL.classes;
    const hidden = mode === 'errors' ? state.hiddenErrors : state.hidden;
    const number = counts(mode);
    const all = (on) => () => {
        entries.forEach((_, i) => (on ? hidden.delete(i + 1) : hidden.add(i + 1)));
        refresh();
    };
    panel.append(element('div', { className: 'row' }, element('button', { textContent: 'all', id: 'all', onclick: all(true) }),
        element('button', { textContent: 'none', id: 'none', onclick: all(false) }), reset));
    entries.forEach((entry, i) => {
        const box = element('input', { type: 'checkbox', id: `class-${i + 1}`, checked: !hidden.has(i + 1) });
        box.onchange = () => { box.checked ? hidden.delete(i + 1) : hidden.add(i + 1); refresh(); };
        const patch = element('span', { className: 'patch' });
        patch.style.background = entry.colour;
        const label = element('label', {}, box, patch, entry.name, element('small', { textContent: number[i + 1].toLocaleString('en') }));
        label.className = number[i + 1] ? '' : 'absent';
        panel.append(label);
    });
}

// The scene has the window beside the panel for itself: nothing hides behind it.
document.head.append(element('style', { textContent: `
    #canvasTarget { left: 276px; width: calc(100% - 276px) !important; }
    #panel { position: absolute; z-index: 10; top: 10px; left: 10px; width: 232px; max-height: calc(100% - 44px); overflow-y: auto; padding: 10px 12px;
        background: rgba(255, 255, 255, 0.92); border: 1px solid #c8ccd4; border-radius: 8px; color: #222228;
        font: 13px/1.35 "DejaVu Sans", "Segoe UI", Helvetica, Arial, sans-serif; user-select: none; }
    #panel img { width: 100%; margin: 6px 0; display: block; }
    #panel label { display: flex; align-items: center; gap: 6px; padding: 1px 0; cursor: pointer; }
    #panel label small { margin-left: auto; color: #70707a; }
    #panel .absent { opacity: 0.45; }
    #panel .patch { width: 13px; height: 13px; border: 1px solid #5a5a5a; border-radius: 2px; }
    #panel .row { display: flex; gap: 6px; margin: 5px 0; }
    #panel .row input { flex: 1; min-width: 0; }
    #panel .modes { display: grid; grid-template-columns: 1fr 1fr; gap: 4px; margin: 5px 0; }
    #panel button { font: inherit; padding: 2px 8px; border: 1px solid #b4b8c2; border-radius: 4px; background: #f3f5f8; cursor: pointer; }
    #panel button.on { background: #2f5fb3; border-color: #2f5fb3; color: white; }
    #panel button:disabled { opacity: 0.4; cursor: default; }` }));
const panel = element('div', { id: 'panel' });
document.body.append(panel);
window.dispatchEvent(new Event('resize'));
K3DInstance.setCamera(fitted('one'));
refresh();
