"""Track one object in front of a camera, or in a video file, as the frames come.

python examples/track_webcam.py                         # camera 0: draw a box around the object and press Enter
python examples/track_webcam.py walk.mp4 --box 20,20,60,60 --no-window
"""

import argparse
import time

import cv2
import numpy as np

from sam2rl_tracker import Tracker

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("source", nargs="?", default="0", help="number of a camera, or a video file")
parser.add_argument("--box", help="X,Y,W,H of the object on the first frame, in pixels; without it, draw the box")
parser.add_argument("--policy", default="recency", help="memory policy: see `sam2rl track --list-policies`")
parser.add_argument("--model", default="nano", help="for real scenes, use SAM 2.1: sam2.1_hiera_small")
parser.add_argument("--device", help="cpu, cuda or mps; by default the best there is")
parser.add_argument("--no-window", action="store_true", help="only print what is found")
options = parser.parse_args()

source = cv2.VideoCapture(int(options.source) if options.source.isdigit() else options.source)
found, frame = source.read()  # OpenCV's images are BGR; the tracker's are RGB
if not found:
    parser.error(f"{options.source} gives no picture: is the camera free, does the file exist?")
box = [float(x) for x in options.box.split(",")] if options.box else cv2.selectROI("sam2rl", frame)

tracker = Tracker(options.model, options.policy, options.device)
(mask,) = tracker.initialize(frame[..., ::-1].copy(), boxes=np.array([box]))
started = time.perf_counter()
while found:
    (trace,) = tracker.trace()
    seconds = time.perf_counter() - started
    print(f"frame {tracker.frame}: {trace['area']} pixels, predicted IoU {trace['predicted_iou']:.2f}, {seconds:.1f} s")
    if not options.no_window:
        frame[mask] = frame[mask] // 2 + np.array([0, 0, 127], dtype=np.uint8)  # the object in red
        cv2.imshow("sam2rl", frame)
        if cv2.waitKey(1) == ord("q"):
            break
    found, frame = source.read()
    if found:
        (mask,) = tracker.track(frame[..., ::-1].copy())
source.release()
