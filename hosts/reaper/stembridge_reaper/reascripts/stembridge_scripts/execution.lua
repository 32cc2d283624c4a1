-- Executing an insertion plan, a little in every tick and all of it in one undo step; and building the peaks.

local documents, facts = ...
local M = {}
local r = reaper

local VERSION = 1
local BUDGET = 0.005
local CUSTOM_COLOUR = 0x1000000
-- Steps that a tick may end in front of: what was begun is whole then, and says what it is.
local BEGINNINGS = { find = true, track = true, item = true, take = true, commit = true }

M.STALE = "the project is another one than the plan was made for; what was begun has been taken back"

-- An error with one sentence for the message box.
function M.refuse(words)
  error({ refusal = words }, 0)
end

-- Return an item's state with the block of its one source inside that of a section; nil if there is not one.
function M.wrap_source(state, section)
  local lines, found, depth, first = {}, nil, 0, nil
  for line in state:gmatch("[^\r\n]+") do
    local words = line:match("^%s*(.-)%s*$")
    lines[#lines + 1] = line
    if words:sub(1, 1) == "<" then
      depth = depth + 1
      if depth == 2 and words:find("^<SOURCE") then first = #lines end
    elseif words == ">" then
      depth = depth - 1
      if depth == 1 and first and not found then
        lines[#lines + 1], found = ">", true
        table.insert(lines, first, table.concat({ "<SOURCE SECTION", table.unpack(section) }, "\n"))
      end
    end
  end
  return found and table.concat(lines, "\n") .. "\n" or nil
end

-- Return an item's state without the takes of these GUIDs (a set), of which none is the first.
local function without_takes(state, guids)
  local kept, take, depth, is_own = {}, {}, 0, false
  local function close()
    if not is_own then table.move(take, 1, #take, #kept + 1, kept) end
    take, is_own = {}, false
  end
  for line in state:gmatch("[^\r\n]+") do
    local words = line:match("^%s*(.-)%s*$")
    if depth == 1 and (words:find("^TAKE%f[ \0]") or words == ">") then close() end
    depth = depth + (words:sub(1, 1) == "<" and 1 or words == ">" and -1 or 0)
    take[#take + 1] = line
    is_own = is_own or guids[words:match("^GUID (.*)$") or ""] ~= nil
  end
  close()
  return table.concat(kept, "\n") .. "\n"
end

local Execution = {}
Execution.__index = Execution

-- Begin a plan; `known` has pointers of items by GUID.
function M.begin(path, known)
  local self = setmetatable({ known = known, slots = {}, tracks = {}, items = {}, before = {}, made = {}, states = {}, takes = {} }, Execution)
  self.file = assert(io.open(path, "rb"))
  self.project = r.EnumProjects(-1)
  self.changes = r.GetProjectStateChangeCount(0)
  self.line = 0
  return self
end

-- Execute for so many seconds, or to the end of the undo step; return whether something is left.
-- An error means that nothing was inserted: STALE, or a refusal.
function Execution:step(seconds)
  if r.EnumProjects(-1) ~= self.project then
    -- Pointers of another tab count for nothing; what was added there is taken back by the next plan.
    self.file:close()
    error(M.STALE, 0)
  end
  local stop = r.time_precise() + (seconds or BUDGET)
  r.PreventUIRefresh(1)
  local is_done, goes_on = pcall(function()
    if r.GetProjectStateChangeCount(0) ~= self.changes then error(M.STALE, 0) end
    local more = self:work(stop)
    self.changes = r.GetProjectStateChangeCount(0)
    return more
  end)
  if not (is_done and goes_on) then self.file:close() end
  if not is_done then self:take_back() end
  r.PreventUIRefresh(-1)
  r.TrackList_AdjustWindows(false)
  r.UpdateArrange()
  if not is_done then error(goes_on, 0) end
  return goes_on
end

function Execution:work(stop)
  self.ahead = self.ahead or self:next()
  while self.ahead[1] ~= "commit" do
    -- One at least, or a slow machine would never come to the end.
    self:act(self.ahead)
    self.ahead = self:next()
    if r.time_precise() >= stop and BEGINNINGS[self.ahead[1]] then return true end
  end
  self:commit()
  return false
end

function Execution:next()
  local text = self.file:read("L") or ""
  local step = text:sub(-1) == "\n" and documents.decode(text)
  if not step then M.refuse("The plan of the insertion is cut short; nothing was inserted.") end
  self.line = self.line + 1
  return step
end

function Execution:commit()
  local steps = {}
  repeat steps[#steps + 1] = self:next() until steps[#steps][1] == "end"
  r.Undo_BeginBlock2(0)
  local is_done, why = pcall(function()
    for _, step in ipairs(steps) do self:act(step) end
  end)
  r.Undo_EndBlock2(0, self.undo, is_done and -1 or 0)
  if not is_done then error(why, 0) end
end

local ACTS = {}

function Execution:act(step)
  ACTS[step[1]](self, table.unpack(step, 2))
end

function ACTS:plan(version, undo)
  if version ~= VERSION then
    M.refuse("These scripts are of another version: run 'stembridge reaper install' again.")
  end
  self.undo = undo
end

ACTS["end"] = function(self, lines)
  if lines ~= self.line - 1 then M.refuse("The plan of the insertion is cut short; nothing was inserted.") end
end

function ACTS:find(slot, kind, guid)
  local pointer
  if kind == "MediaItem" then
    pointer = facts.guid(kind, self.known[guid]) == guid and self.known[guid]
  else
    for track in facts.tracks() do
      if facts.guid(kind, track) == guid then pointer = track end
    end
  end
  if not pointer then error(M.STALE, 0) end
  self.slots[slot] = { kind, pointer }
end

function ACTS:track(slot, above)
  local index = r.CountTracks(0)
  if above ~= 0 then index = math.tointeger(r.GetMediaTrackInfo_Value(self.slots[above][2], "IP_TRACKNUMBER")) end
  r.InsertTrackAtIndex(index, false)
  local track = r.GetTrack(0, index)
  self.slots[slot] = { "MediaTrack", track, is_new = true }
  self.tracks[#self.tracks + 1] = { track, facts.guid("MediaTrack", track) }
end

function ACTS:item(slot, track)
  local item = r.AddMediaItemToTrack(self.slots[track][2])
  self.slots[slot] = { "MediaItem", item, is_new = true }
  self.made[#self.made + 1] = { item, facts.guid("MediaItem", item) }
  self.items[#self.items + 1] = self.slots[track][2]
end

function ACTS:split(slot, item, position)
  local one, pointer = self.slots[item], self.slots[item][2]
  if not one.is_new and not self.states[one] then
    local _, state = r.GetItemStateChunk(pointer, "", false)
    self.states[one] = state
  end
  facts.note(pointer) -- Both parts would have our line.
  local right = r.SplitMediaItem(pointer, position)
  if not right then M.refuse("REAPER cannot split an item at its used part; nothing was inserted.") end
  self.slots[slot] = { "MediaItem", right, is_new = true }
  self.made[#self.made + 1] = { right, facts.guid("MediaItem", right) }
  self.items[#self.items + 1] = r.GetMediaItem_Track(pointer)
end

function ACTS:take(slot, item, path)
  local one = self.slots[item]
  local take = r.AddTakeToMediaItem(one[2])
  if not one.is_new then
    self.takes[one] = self.takes[one] or {}
    self.takes[one][facts.guid("MediaItemTake", take)] = true
    one.guid = facts.guid("MediaItem", one[2])
  end
  local source = r.PCM_Source_CreateFromFile(path)
  if not source or not r.SetMediaItemTake_Source(take, source) then
    M.refuse("REAPER cannot read " .. path .. "; nothing was inserted.")
  end
  self.slots[slot] = { "MediaItemTake", take, is_new = true }
  r.UpdateItemInProject(one[2])
end

function ACTS:section(slot, item, lines)
  local pointer = self.slots[item][2]
  local _, state = r.GetItemStateChunk(pointer, "", false)
  state = M.wrap_source(state, lines)
  if not state or not r.SetItemStateChunk(pointer, state, false) then
    M.refuse("REAPER refused a section; glue the reversed or looped items and try again.")
  end
  self.slots[slot] = { "MediaItemTake", r.GetActiveTake(pointer), is_new = true }
end

function ACTS:numbers(slot, values)
  local one = self.slots[slot]
  local access = facts.ACCESS[one[1]]
  for _, pair in ipairs(values) do
    if not one.is_new then
      self.before[#self.before + 1] = { one, pair[1], access.get(one[2], pair[1]) }
    end
    access.set(one[2], pair[1], pair[2])
  end
end

function ACTS:text(slot, key, words)
  local kind, pointer = table.unpack(self.slots[slot])
  facts.ACCESS[kind].text(pointer, key, words, true)
  local number = key == "GUID" and #self.made or 0 -- Most often the last of them.
  while number > 0 and self.made[number][1] ~= pointer do number = number - 1 end
  if number > 0 then self.made[number][2] = words end
end

function ACTS:colour(slot, red, green, blue)
  local kind, pointer = table.unpack(self.slots[slot])
  facts.ACCESS[kind].set(pointer, "I_CUSTOMCOLOR", r.ColorToNative(red, green, blue) | CUSTOM_COLOUR)
end

function ACTS:marker(slot, position, source, slope)
  local take = self.slots[slot][2]
  local number = r.SetTakeStretchMarker(take, -1, position, source)
  if slope ~= 0 then r.SetTakeStretchMarkerSlope(take, number, slope) end
end

function ACTS:delete(slot)
  local kind, pointer = table.unpack(self.slots[slot])
  if kind == "MediaTrack" then
    r.DeleteTrack(pointer)
  else
    r.DeleteTrackMediaItem(r.GetMediaItem_Track(pointer), pointer)
  end
end

-- Take back what was added; the user may have taken some of it back already, and pointers be others' by now.
function Execution:take_back()
  for number = #self.made, 1, -1 do
    local item, guid = table.unpack(self.made[number])
    if facts.guid("MediaItem", item) == guid then r.DeleteTrackMediaItem(self.items[number], item) end
  end
  for number = #self.tracks, 1, -1 do
    local track, guid = table.unpack(self.tracks[number])
    if facts.guid("MediaTrack", track) == guid then r.DeleteTrack(track) end
  end
  for one, guids in pairs(self.takes) do
    if not self.states[one] and facts.guid("MediaItem", one[2]) == one.guid then
      local _, state = r.GetItemStateChunk(one[2], "", false)
      r.SetItemStateChunk(one[2], without_takes(state, guids), false)
    end
  end
  for one, state in pairs(self.states) do r.SetItemStateChunk(one[2], state, false) end
  for number = #self.before, 1, -1 do
    local one, key, value = table.unpack(self.before[number])
    facts.ACCESS[one[1]].set(one[2], key, value)
  end
  self.made = {}
end

-- Build the peaks of these items, by pointer and GUID, calling `wait` for the next tick after each bit.
function M.build_peaks(items, wait)
  for _, one in ipairs(items) do
    local item, guid = table.unpack(one)
    local function source()
      -- Deleted, or in a project that is not active: REAPER builds its peaks when it is next shown.
      local is_there = facts.guid("MediaItem", item) == guid
      return is_there and r.GetMediaItemTake_Source(r.GetActiveTake(item)) or nil
    end
    -- Before REAPER 6.35 there is no such function; it builds peaks by itself.
    if r.PCM_Source_BuildPeaks and source() and r.PCM_Source_BuildPeaks(source(), 0) ~= 0 then
      while source() and r.PCM_Source_BuildPeaks(source(), 1) ~= 0 do wait() end
      if source() then r.PCM_Source_BuildPeaks(source(), 2) end
    end
  end
end

return M
