// Louder agent or louder customer, for stereo. Web Audio takes part only once the slider is moved.
const slider = document.getElementById("balance"), audio = document.getElementById("audio");
let sides = null;

function connect() {
  const context = new AudioContext();
  const split = context.createChannelSplitter(2), join = context.createChannelMerger(2);
  context.createMediaElementSource(audio).connect(split);
  sides = [0, 1].map((channel) => {
    const gain = context.createGain();
    split.connect(gain, channel);
    gain.connect(join, 0, 0);  // both are heard in both ears
    gain.connect(join, 0, 1);
    return gain.gain;
  });
  join.connect(context.destination);
  audio.addEventListener("play", () => context.resume());
  context.resume();
}
slider?.addEventListener("input", () => {
  if (!sides) connect();
  const agent = Number(slider.dataset.agent), value = Number(slider.value);
  sides[agent].value = Math.min(1, 1 - value);
  sides[1 - agent].value = Math.min(1, 1 + value);
});
