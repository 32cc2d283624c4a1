-- Reading a project: items, their takes and sources, and tracks, as the worker wants them. Nothing is decided here.
-- What takes time calls `pause` after each object, so that it can be spread over ticks.

local documents = ...
local M = {}
local r = reaper
local list = documents.list

M.EXTENSION = "P_EXT:stembridge"
-- On an item of a run: the run and the item. What is split off or copied has it too, and its own GUID.
local ORIGIN = "P_EXT:stembridge_origin"
local MOST = 7 -- earlier marks that an item keeps

local ITEM_KEYS = {
  "D_POSITION", "D_LENGTH", "D_SNAPOFFSET", "D_VOL", "B_LOOPSRC", "B_MUTE", "B_ALLTAKESPLAY", "C_LANEPLAYS",
  "D_FADEINLEN", "D_FADEOUTLEN", "D_FADEINLEN_AUTO", "D_FADEOUTLEN_AUTO", "D_FADEINDIR", "D_FADEOUTDIR",
  "C_FADEINSHAPE", "C_FADEOUTSHAPE", "C_BEATATTACHMODE", "C_AUTOSTRETCH", "I_CUSTOMCOLOR", "I_GROUPID",
}
local TAKE_KEYS = {
  "D_STARTOFFS", "D_PLAYRATE", "D_PITCH", "B_PPITCH", "I_PITCHMODE", "I_STRETCHFLAGS", "D_VOL", "D_PAN", "D_PANLAW",
  "F_STRETCHFADESIZE", "I_CHANMODE", "I_CUSTOMCOLOR",
}
local TRACK_KEYS = {
  "I_FOLDERDEPTH", "I_NCHAN", "I_FREEMODE", "C_BEATATTACHMODE", "B_MUTE", "I_SOLO", "B_SOLO_DEFEAT",
  "I_PLAY_OFFSET_FLAG", "D_PLAY_OFFSET", "D_VOL", "D_PAN", "I_PANMODE", "D_WIDTH", "D_DUALPANL", "D_DUALPANR",
  "D_PANLAW", "B_PHASE", "B_MAINSEND", "C_MAINSEND_OFFS", "C_MAINSEND_NCH",
}
-- What a track may follow another in.
local GROUPS = { "VOLUME", "VOLUME_VCA", "PAN", "WIDTH", "MUTE", "SOLO", "POLARITY" }
local STEM_KEYS = { MediaItem = { "D_POSITION", "D_LENGTH" }, MediaItemTake = { "D_STARTOFFS", "D_PLAYRATE" } }
local DEEPEST = 16

-- What reads and writes numbers and texts, by kind of object.
M.ACCESS = {
  MediaTrack = { get = r.GetMediaTrackInfo_Value, set = r.SetMediaTrackInfo_Value, text = r.GetSetMediaTrackInfo_String },
  MediaItem = { get = r.GetMediaItemInfo_Value, set = r.SetMediaItemInfo_Value, text = r.GetSetMediaItemInfo_String },
  MediaItemTake = {
    get = r.GetMediaItemTakeInfo_Value, set = r.SetMediaItemTakeInfo_Value, text = r.GetSetMediaItemTakeInfo_String,
  },
}

function M.text(kind, pointer, key)
  local is_there, words = M.ACCESS[kind].text(pointer, key, "", false)
  return is_there and words or ""
end

-- Return the GUID of an object; empty for a pointer that leads nowhere any more.
function M.guid(kind, pointer)
  local name = kind == "MediaItemTake" and "MediaItem_Take*" or kind .. "*"
  return pointer and r.ValidatePtr2(0, pointer, name) and M.text(kind, pointer, "GUID") or ""
end

local function numbers(kind, pointer, keys)
  local found = {}
  for _, key in ipairs(keys) do found[key] = M.ACCESS[kind].get(pointer, key) end
  return found
end

-- Return an iterator over the tracks of the active project, or over the items of one.
function M.tracks()
  local number = -1
  return function()
    number = number + 1
    return r.GetTrack(0, number)
  end
end

local function items_of(track)
  local number = -1
  return function()
    number = number + 1
    -- Between two ticks the track may have gone, or another project come.
    return r.ValidatePtr2(0, track, "MediaTrack*") and r.GetTrackMediaItem(track, number) or nil
  end
end

local function each_item(act)
  for track in M.tracks() do
    for item in items_of(track) do act(item) end
  end
end

function M.selected_items()
  local found = {}
  for number = 0, r.CountSelectedMediaItems(0) - 1 do found[number + 1] = r.GetSelectedMediaItem(0, number) end
  return found
end

local function read_sources(source)
  local found = list()
  while source and #found < DEEPEST do
    local is_section, offset, length, is_reversed = r.PCM_Source_GetSectionInfo(source)
    local one = { kind = r.GetMediaSourceType(source), section = is_section and list { offset, length, is_reversed } or nil }
    found[#found + 1] = one
    local parent = r.GetMediaSourceParent(source)
    if not parent then
      one.path = r.GetMediaSourceFileName(source)
      one.length, one.is_beats = r.GetMediaSourceLength(source)
      one.channels = r.GetMediaSourceNumChannels(source)
      return found
    end
    source = parent
  end
  return list()
end

local function read_markers(take)
  local markers = list()
  for number = 0, r.GetTakeNumStretchMarkers(take) - 1 do
    local _, position, source = r.GetTakeStretchMarker(take, number)
    markers[number + 1] = list { position, source, r.GetTakeStretchMarkerSlope(take, number) }
  end
  return markers
end

-- Return what our insertions say of the takes of an item that has several.
local function read_tags(item)
  local tags, count = list(), r.CountTakes(item)
  for number = 0, count > 1 and count - 1 or -1 do
    local take = r.GetTake(item, number)
    tags[#tags + 1] = take and M.text("MediaItemTake", take, M.EXTENSION) or ""
  end
  return tags
end

-- Return the razor edits on a track, those on its envelopes left out.
local function read_razors(track)
  local areas = list()
  for start, stop, envelope in M.text("MediaTrack", track, "P_RAZOREDITS"):gmatch('(%S+) (%S+) "(.-)"') do
    if envelope == "" then areas[#areas + 1] = list { tonumber(start), tonumber(stop) } end
  end
  return areas
end

local function is_text(words)
  return utf8.len(words) ~= nil
end

local function read_marks(pointer)
  local marks = list()
  for mark in M.text("MediaItem", pointer, ORIGIN):gmatch("%S+") do marks[#marks + 1] = mark end
  return marks
end

local function read_item(pointer, is_limited)
  local track = r.GetMediaItem_Track(pointer)
  local item = { guid = M.guid("MediaItem", pointer), track = M.guid("MediaTrack", track) }
  local take = r.GetActiveTake(pointer)
  if not take then return item end
  item.take = M.guid("MediaItemTake", take)
  item.is_midi = r.TakeIsMIDI(take)
  item.sources = read_sources(r.GetMediaItemTake_Source(take))
  item.name = M.text("MediaItemTake", take, "P_NAME")
  local root = item.sources[#item.sources]
  if root and not is_text(root.path) or not is_text(item.name) then
    return { guid = item.guid, track = item.track, take = item.take, fault = "with a file name that is not UTF-8" }
  end
  item.item_values = numbers("MediaItem", pointer, ITEM_KEYS)
  item.take_values = numbers("MediaItemTake", take, TAKE_KEYS)
  item.markers = read_markers(take)
  for _, source in ipairs(item.sources) do
    if source.section and not item.state then
      local is_there, state = r.GetItemStateChunk(pointer, "", false)
      item.state = is_there and state or ""
    end
  end
  item.tags = read_tags(pointer)
  item.marks = read_marks(pointer)
  item.razors = is_limited and read_razors(track) or nil
  item.extras = { ["take FX"] = r.TakeFX_GetCount(take), ["take envelopes"] = r.CountTakeEnvelopes(take) }
  return item
end

-- Read items, those left out that are gone, and note their pointers by GUID; with the razor edits where these count.
function M.read_items(pointers, known, pause, is_limited)
  local found = list()
  for _, pointer in ipairs(pointers) do
    if M.guid("MediaItem", pointer) ~= "" then
      local item = read_item(pointer, is_limited)
      known[item.guid] = pointer
      found[#found + 1] = item
    end
    pause()
  end
  return found
end

local function count_groups(track)
  local count = 0
  for _, group in ipairs(GROUPS) do
    if r.GetSetTrackGroupMembership(track, group .. "_FOLLOW", 0, 0) ~= 0 then count = count + 1 end
  end
  return count
end

local function read_track(pointer, tag)
  return {
    guid = M.guid("MediaTrack", pointer),
    tag = tag,
    name = M.text("MediaTrack", pointer, "P_NAME"),
    values = numbers("MediaTrack", pointer, TRACK_KEYS),
    extras = {
      ["track FX"] = r.TrackFX_GetCount(pointer),
      sends = r.GetTrackNumSends(pointer, 0),
      ["hardware outputs"] = r.GetTrackNumSends(pointer, 1),
      groups = count_groups(pointer),
      envelopes = r.CountTrackEnvelopes(pointer),
    },
  }
end

-- Note a stem item; with `is_placed` also where it lies, or else also the stems that are takes of an item.
local function add_stem(stems, item, known, is_placed)
  local tag = M.text("MediaItem", item, M.EXTENSION)
  if tag ~= "" then
    local stem = { guid = M.guid("MediaItem", item), track = M.guid("MediaTrack", r.GetMediaItem_Track(item)), tag = tag }
    known[stem.guid] = item
    stems[#stems + 1] = stem
    local take = is_placed and r.GetActiveTake(item)
    if take then
      stem.values = numbers("MediaItem", item, STEM_KEYS.MediaItem)
      for key, value in pairs(numbers("MediaItemTake", take, STEM_KEYS.MediaItemTake)) do stem.values[key] = value end
    end
  end
  for _, each in ipairs(is_placed and {} or read_tags(item)) do
    if each ~= "" then stems[#stems + 1] = { guid = M.guid("MediaItem", item), track = "", tag = each } end
  end
end

-- Read the tracks of these GUIDs and those with a tag of ours.
function M.read_tracks(wanted, pause)
  local tracks = list()
  for pointer in M.tracks() do
    local tag = M.text("MediaTrack", pointer, M.EXTENSION)
    if tag ~= "" or wanted[M.guid("MediaTrack", pointer)] then tracks[#tracks + 1] = read_track(pointer, tag) end
    pause()
  end
  return tracks
end

-- Look for our tags: the stem items, and what was one with an item of these once and is none of them.
function M.read_marked(items, known, pause)
  local stems, parts, own, family = list(), {}, {}, {}
  for _, item in ipairs(items) do
    own[item.guid], family[item.guid] = true, true
    for _, mark in ipairs(item.marks or {}) do family[mark:match("{.*")] = true end
  end
  each_item(function(item)
    add_stem(stems, item, known, true)
    for origin in M.text("MediaItem", item, ORIGIN):gmatch("{[^ ]+") do
      if family[origin] and parts[#parts] ~= item and not own[M.guid("MediaItem", item)] then parts[#parts + 1] = item end
    end
    pause()
  end)
  return stems, parts
end

-- Look through the whole project: its tracks, the items with a tag of ours, all GUIDs of items.
function M.read_all(known, pause)
  local tracks, stems, guids = list(), list(), list()
  for pointer in M.tracks() do
    tracks[#tracks + 1] = { guid = M.guid("MediaTrack", pointer), tag = M.text("MediaTrack", pointer, M.EXTENSION) }
    pause()
  end
  each_item(function(item)
    local guid = M.guid("MediaItem", item)
    known[guid] = item
    guids[#guids + 1] = guid
    add_stem(stems, item, known)
    pause()
  end)
  return tracks, stems, guids
end

-- Look for items by GUID; return pointers of those that are there, in order. Known pointers may be stale.
function M.find_items(guids, known, pause)
  local missing, is_missing = {}, false
  for _, guid in ipairs(guids) do
    if M.guid("MediaItem", known[guid]) ~= guid then missing[guid], is_missing = true, true end
    pause()
  end
  if is_missing then
    each_item(function(item)
      local guid = M.guid("MediaItem", item)
      if missing[guid] then missing[guid], known[guid] = nil, item end
      pause()
    end)
  end
  local found = {}
  for _, guid in ipairs(guids) do
    if not missing[guid] then found[#found + 1] = known[guid] end
  end
  return found, missing
end

-- Notes of items: one line of ours at the end.

local function without_line(notes)
  notes = notes:gsub("\r?\n%[stembridge%] [^\r\n]*", "")
  return (notes:gsub("^%[stembridge%] [^\r\n]*", ""))
end

-- Write our line into the notes of an item; without words, take it out.
function M.note(item, words)
  local notes = M.text("MediaItem", item, "P_NOTES")
  local wanted = without_line(notes)
  if words then wanted = (wanted ~= "" and wanted .. "\n" or "") .. "[stembridge] " .. words end
  if wanted ~= notes then r.GetSetMediaItemInfo_String(item, "P_NOTES", wanted, true) end
end

-- Write into items that they are of a run, which goes with what people split off or copy of them.
function M.mark(guids, known, pause, run)
  for _, guid in ipairs(guids) do
    local item = known[guid]
    if M.guid("MediaItem", item) == guid then
      local marks = read_marks(item)
      marks[#marks + 1] = run .. guid
      local words = table.concat(marks, " ", math.max(1, #marks - MOST))
      r.GetSetMediaItemInfo_String(item, ORIGIN, words, true)
    end
    pause()
  end
end

-- Take our line out of the notes of items, and of what was split off or copied of them in a run. A run that came to
-- nothing leaves no marks (`is_over`); those of others say later what was one item once.
function M.clear_notes(guids, known, pause, run, is_over)
  for _, item in ipairs(M.find_items(guids, known, pause)) do
    M.note(item)
    pause()
  end
  if not run then return end
  each_item(function(item)
    local marks, kept, has = read_marks(item), {}, false
    for _, mark in ipairs(marks) do
      if mark:sub(1, #run) == run then has = true else kept[#kept + 1] = mark end
    end
    if has then M.note(item) end
    if has and is_over then r.GetSetMediaItemInfo_String(item, ORIGIN, table.concat(kept, " "), true) end
    pause()
  end)
end

function M.project()
  local _, path = r.EnumProjects(-1)
  local open, number = list(), 0
  repeat
    local project, each = r.EnumProjects(number)
    if project and each ~= "" then open[#open + 1] = each end
    number = number + 1
  until not project
  local start, stop = r.GetSet_LoopTimeRange2(0, false, false, 0, 0, false)
  local selection = stop > start and list { start, stop } or nil
  return { path = path, media = r.GetProjectPath(), open = open, selection = selection }
end

return M
