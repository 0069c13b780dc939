"""The order of an ingest: probe, first rendition and sound, publish; better renditions, publish each; VMAF, publish again.

Every step looks first whether its result is already in the job's folder, so the same code runs a job and resumes it.
"""

from __future__ import annotations

import concurrent.futures
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path

import msgspec

from nearcast.base.clock import Clock
from nearcast.base.errors import BadInput
from nearcast.media import embedded, encode, package, pictures, probe, quality, subtitles, tools
from nearcast.media.boxes import sample_count
from nearcast.media.files import DiskFailed, write_whole
from nearcast.media.manifests import Made, build
from nearcast.media.plan import AudioTrack, Chunk, Plan, make_plan, too_short
from nearcast.media.progress import Meter, Work
from nearcast.media.source import AudioStream
from nearcast.media.workspace import Report, WorkRequest, Workspace, read, write
from nearcast.model.ingest import Progress, SideTrack
from nearcast.model.manifest import Manifest
from nearcast.model.rendition import File, Rendition, TextTrack, Thumbnails, Vmaf
from nearcast.model.services import KeySet

LOOK_S = 0.4
"""How often running tasks are asked how far they are."""
STARTER, BETTER = "starter", "better"
Tell = Callable[[Report], None]


class BadSideAudio(BadInput):
    """An audio file beside the film cannot be used."""

    code = "NC1203"
    cure = "give an audio file, with its language as `dub.m4a:fr`"


class Pipeline:
    """One job, run to its end by ``run`` in the calling thread; tasks go to ``farm``."""

    def __init__(self, space: Workspace, request: WorkRequest, keys: KeySet | None, farm: encode.Farm, clock: Clock, tell: Tell) -> None:
        self._space = space
        self._request = request
        self._settings = request.settings
        self._keys = keys
        self._farm = farm
        self._clock = clock
        self._tell = tell
        self._limits = tools.Limits(memory_bytes=request.settings.limits.memory_bytes)
        self._begun_s = clock.monotonic_s()
        self._meter = Meter(self._begun_s)
        self._made = Made()
        self._generation = max([request.first_generation - 1, *space.generations()])
        self._hash_error: list[Exception] = []

    def run(self) -> None:
        """Raises every error of media/; what was finished before stays."""
        self._space.make()
        hashing = threading.Thread(target=self._hash, daemon=True)
        hashing.start()
        plan = self._plan()
        self._mark("probe")
        self._recall(plan)
        self._text(plan)
        self._given_poster()
        stereo = [each for each in plan.audio if each.channels <= 2]
        first = [*self._video(plan, STARTER), *self._audio(stereo), *self._embedded(plan)]
        later = [*self._video(plan, BETTER), *self._audio([each for each in plan.audio if each.channels > 2])]
        self._wait(first, later)
        self._check_length(plan)
        for media in [*self._media(plan, STARTER), *self._sounds(plan, stereo)]:
            self._pack(media)
        self._embedded_text(plan)
        self._poster(plan)
        hashing.join()
        if self._hash_error:
            raise self._hash_error[0]
        self._publish(plan)
        self._mark("playable")
        self._sprite(plan)
        self._wait(later, [])
        self._mark("encoded")
        self._pack_all(plan, [*self._sounds(plan, [each for each in plan.audio if each.channels > 2]), *self._media(plan, BETTER)])
        self._publish(plan)
        self._mark("complete")
        self._quality(plan)
        self._publish(plan)
        self._mark("quality")

    # --- before anything is encoded ---

    def _hash(self) -> None:
        try:
            if not self._space.source_sha256.exists():
                found = probe.content_sha256(Path(self._request.submission.path))
                write_whole(self._space.source_sha256, found.encode())
        except Exception as error:  # raised again in the main thread
            self._hash_error.append(error)

    def _plan(self) -> Plan:
        path = Path(self._request.submission.path)
        kept = read(self._space.plan, Plan)
        if kept is not None:
            mark = probe.fingerprint(path)
            if (mark.size_bytes, mark.modified_ns) != (kept.source.size_bytes, kept.source.modified_ns):
                raise probe.SourceChanged(f"{path.name} has changed since its ingest began")
            return kept
        self._progress("probe", path.name, 0, 1)
        source = probe.probe(path, self._settings)
        side = tuple((track, self._side_audio(track)) for track in self._request.submission.audio)
        plan = make_plan(source, side, self._settings.encode, self._request.at_once)
        write(self._space.plan, plan)
        if missing := embedded.left_out(source):
            self._tell(Report(kind="warning", text=missing))
        self._progress("probe", path.name, 1, 1)
        return plan

    def _side_audio(self, track: SideTrack) -> AudioStream:
        path = Path(track.path)
        try:
            source = probe.probe(path, self._settings)
        except BadInput as error:
            raise BadSideAudio(f"audio file: {error.message}", hint=error.hint) from error
        if not source.audio:
            raise BadSideAudio(f"{path.name} has no sound")
        return source.audio[0]

    def _recall(self, plan: Plan) -> None:
        """What an earlier run has packaged, so that no manifest of this one names less than the last of that."""
        for name in [*(each.name for each in plan.rungs), *(each.name for each in plan.audio)]:
            if made := read(self._space.renditions / f"{name}.json", Rendition):
                self._made.renditions[name] = made
        self._made.thumbnails = read(self._space.pictures / "thumbnails.json", Thumbnails)

    def _text(self, plan: Plan) -> None:
        """Subtitles are small: published with the first manifest."""
        for number, track in enumerate(self._request.submission.subtitles):
            note = self._space.text / f"{number}.json"
            made = read(note, TextTrack)
            if made is None:
                path = Path(track.path)
                made = package.pack_text(
                    subtitles.read(path, self._settings.limits.subtitle_bytes),
                    subtitles.language_of(track.language, path),
                    track.label,
                    plan.source.duration_s,
                    self._space.out,
                )
                write(note, made)
            self._made.text.append(made)

    def _embedded(self, plan: Plan) -> list[Work]:
        """One task for all subtitles inside the film: none where there are none."""
        if not embedded.readable(plan.source):
            return []
        folder = self._space.own_text
        task = embedded.TextTask(source=plan.source, folder=str(folder), limits=self._settings.limits)
        future = None if folder.exists() else self._farm.submit(embedded.extract, task)
        return [Work(("subtitles",), folder, plan.source.duration_s, future)]

    def _embedded_text(self, plan: Plan) -> None:
        """The film's own subtitles come after those that were given; one that cannot be read costs no film."""
        for stream in embedded.readable(plan.source):
            note = self._space.text / f"own-{stream.index}.json"
            made = read(note, TextTrack)
            if made is None:
                try:
                    content = embedded.read(self._space.own_text, stream, self._settings.limits.subtitle_bytes)
                except subtitles.BadSubtitles as error:
                    self._tell(Report(kind="warning", text=error.message))
                    continue
                made = package.pack_text(content, stream.language, stream.label, plan.source.duration_s, self._space.out)
                write(note, made)
            self._made.text.append(made)

    # --- encoding ---

    def _video(self, plan: Plan, run: str) -> list[Work]:
        """One task per chunk that is not there yet, and a mark for each that is."""
        rungs = plan.better if run == BETTER else tuple([plan.starter] if plan.starter else [])
        preset = self._settings.encode.preset if run == BETTER else self._settings.encode.starter_preset
        found = []
        for chunk in (plan.chunks if run == BETTER else plan.starter_chunks) if rungs else ():
            folder = self._space.chunk(run, chunk.index)
            length_s = float(_frames(plan, chunk) / plan.rate)
            future = None
            if not folder.exists():
                task = encode.chunk_task(plan, rungs, chunk, preset, folder, self._settings.encode, self._settings.limits)
                future = self._farm.submit(encode.encode_chunk, task)
            found.append(Work(tuple(each.name for each in rungs), folder, length_s, future))
        return found

    def _audio(self, tracks: Sequence[AudioTrack]) -> list[Work]:
        found = []
        for track in tracks:
            folder = self._space.audio(track.name)
            task = encode.AudioTask(track=track, folder=str(folder), limits=self._settings.limits)
            future = None if folder.exists() else self._farm.submit(encode.encode_audio, task)
            found.append(Work((track.name,), folder, track.duration_s, future))
        return found

    def _wait(self, wanted: Sequence[Work], others: Sequence[Work]) -> None:
        """Until every task of ``wanted`` has ended, telling how far all are. Raises the first error of any of them."""
        waiting: set[Future[object]] = {each.future for each in wanted if each.future}
        while waiting:
            done, waiting = concurrent.futures.wait(waiting, timeout=LOOK_S, return_when=concurrent.futures.FIRST_COMPLETED)
            for each in done:
                each.result()
            for failed in (each.future for each in others if each.future and each.future.done()):
                failed.result()
            self._tell_progress([*wanted, *others])
        self._tell_progress([*wanted, *others])

    def _tell_progress(self, works: Sequence[Work]) -> None:
        for line in self._meter.lines(works, self._clock.monotonic_s()):
            self._tell(Report(kind="progress", progress=line))

    def _check_length(self, plan: Plan) -> None:
        """A film whose decoding ended far before its promised end is refused before anything is published."""
        if plan.starter is None:
            return
        found = sum(sample_count(self._space.chunk_file(STARTER, each.index, plan.starter)) for each in plan.starter_chunks)
        if too_short(plan.frames, found, plan.rate):
            lost_s = float((plan.frames - found) / plan.rate)
            raise probe.Truncated(f"decoding ended {lost_s:.1f} s before the film should")

    # --- packaging ---

    def _media(self, plan: Plan, run: str) -> list[package.Media]:
        rungs = plan.better if run == BETTER else tuple([plan.starter] if plan.starter else [])
        chunks = plan.chunks if run == BETTER else plan.starter_chunks
        found = []
        for rung in rungs:
            joined = self._space.scratch / f"{rung.name}.mp4"
            pieces = [(self._space.chunk_file(run, each.index, rung), each.start * plan.ticks_per_frame) for each in chunks]
            found.append(
                package.Media(
                    name=rung.name, path=joined, segment_s=plan.segment_s, rung=rung, frame_rate=float(plan.rate), pieces=tuple(pieces)
                )
            )
        return found

    def _sounds(self, plan: Plan, tracks: Sequence[AudioTrack]) -> list[package.Media]:
        found = []
        for track in tracks:
            path = self._space.audio(track.name) / f"{track.name}.mp4"
            found.append(package.Media(name=track.name, path=path, segment_s=plan.segment_s, track=track))
        return found

    def _pack_all(self, plan: Plan, found: Sequence[package.Media]) -> None:
        """Side by side, for packaging is one thread's work; published in the order given, each as soon as it is there."""
        with concurrent.futures.ThreadPoolExecutor(self._request.at_once, thread_name_prefix="package") as pool:
            for media, future in [(each, pool.submit(self._packed, each)) for each in found]:
                self._made.renditions[media.name] = future.result()
                self._publish(plan)

    def _pack(self, media: package.Media) -> None:
        self._made.renditions[media.name] = self._packed(media)

    def _packed(self, media: package.Media) -> Rendition:
        note = self._space.renditions / f"{media.name}.json"
        made = read(note, Rendition)
        if made is None:
            self._progress("package", media.name, 0, 1)
            made = package.pack(media, self._space.out, self._space.scratch, self._keys, self._limits)
            write(note, made)
            self._progress("package", media.name, 1, 1)
            self._tell(Report(kind="rendition", text=media.name))
        return made

    # --- pictures ---

    def _given_poster(self) -> None:
        given = self._request.submission.poster
        target = self._space.pictures / "given.jpg"
        if given and not target.exists():
            part = self._space.scratch / "given.jpg"
            pictures.convert_poster(Path(given), part, self._limits)
            part.replace(target)

    def _poster(self, plan: Plan) -> None:
        note = self._space.pictures / "poster.json"
        made = read(note, File)
        given = self._space.pictures / "given.jpg"
        video = plan.source.video
        if made is None and given.exists():
            made = package.put_bytes(given.read_bytes(), self._space.out, "jpg")
        elif made is None and video and plan.starter:
            part = self._space.scratch / "poster.jpg"
            try:
                small = self._starter_file(plan)
                at_s = pictures.poster_time_s(small, plan.source.duration_s, self._limits)
                pictures.grab_poster(plan.source, video, at_s, part, self._limits)
                if not part.exists():
                    pictures.grab_small_poster(small, at_s, part, self._limits)
                made = package.name_by_content(part, self._space.out, "jpg")
            except (tools.ToolFailed, DiskFailed) as error:  # the second: no frame was found, and so no file written
                self._tell(Report(kind="warning", text=f"no poster could be made: {error}"))
        if made:
            write(note, made)
        self._made.poster = made

    def _sprite(self, plan: Plan) -> None:
        note = self._space.pictures / "thumbnails.json"
        made = read(note, Thumbnails)
        video = plan.source.video
        if made is None and video and plan.starter:
            layout = pictures.sheet(video.duration_s, video.width, video.height)
            part = self._space.scratch / "sprite.jpg"
            try:
                pictures.make_sprite(self._starter_file(plan), layout, part, self._limits)
                made = pictures.thumbnails(layout, package.name_by_content(part, self._space.out, "jpg"))
                write(note, made)
            except tools.ToolFailed as error:
                self._tell(Report(kind="warning", text=f"no thumbnails could be made: {error.message}"))
        self._made.thumbnails = made
        self._publish(plan)

    def _starter_file(self, plan: Plan) -> Path:
        """The first rendition, unencrypted, in one file."""
        media = self._media(plan, STARTER)[0]
        if not media.path.exists():
            package.join_chunks(media.pieces, media.path)
        return media.path

    # --- quality ---

    def _quality(self, plan: Plan) -> None:
        if not self._settings.quality.enabled or plan.starter is None:
            return
        where = quality.windows(plan, self._settings.quality.frames_max)
        scores: dict[str, list[float]] = {each.name: [] for each in plan.rungs}
        try:
            for number, window in enumerate(where):
                self._progress("quality", "vmaf", number, len(where))
                files = self._window_files(plan, window)
                found = quality.measure(plan, window, files, self._space.quality, self._settings.quality, self._limits)
                for name, values in found.items():
                    scores[name] += values
            self._progress("quality", "vmaf", len(where), len(where))
        except quality.QualityUnknown as error:
            self._tell(Report(kind="warning", text=error.message))
            return
        for name, values in scores.items():
            made = self._made.renditions.get(name)
            if made and values:
                vmaf: Vmaf = quality.pooled(values, self._settings.quality.model)
                self._made.renditions[name] = msgspec.structs.replace(made, vmaf=vmaf)

    def _window_files(self, plan: Plan, window: quality.Window) -> dict[str, Path]:
        """The unencrypted chunk of every rendition that holds the window."""
        index = window.chunk.index
        files = {each.name: self._space.chunk_file(BETTER, index, each) for each in plan.better}
        if plan.starter:
            files[plan.starter.name] = self._space.chunk_file(STARTER, index, plan.starter)
        return files

    # --- telling ---

    def _publish(self, plan: Plan) -> None:
        """A new manifest, if it says anything new."""
        latest = self._space.read_manifest(self._generation) if self._space.generations() else None
        manifest: Manifest = build(
            plan, self._made, self._request.title_id, self._generation + 1, self._clock.now_s(), package.title_pssh(self._keys), latest
        )
        if latest and msgspec.structs.replace(manifest, generation=latest.generation, created_at=latest.created_at) == latest:
            return
        self._generation += 1
        path = self._space.manifest(self._generation)
        write(path, manifest)
        self._tell(Report(kind="manifest", manifest=path.name))

    def _progress(self, stage: str, item: str, done: float, total: float) -> None:
        self._tell(Report(kind="progress", progress=Progress(stage=stage, item=item, done=done, total=total, unit="steps")))

    def _mark(self, name: str) -> None:
        """Seconds since this worker began, kept for the bench and told to whoever follows."""
        took_s = self._clock.monotonic_s() - self._begun_s
        write(self._space.timings, {**(read(self._space.timings, dict[str, float]) or {}), name: round(took_s, 3)})
        self._tell(Report(kind="timing", text=f"{name} after {took_s:.2f} s"))


def _frames(plan: Plan, chunk: Chunk) -> int:
    return (plan.frames if chunk.end is None else chunk.end) - chunk.start
